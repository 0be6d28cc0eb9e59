// Who may do what (SPEC of bucket policies), as an application would meet it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RLS, alice, names, native, newBucket, ok, refused, service, text } from './support.mjs'

test("a user's private bucket is closed to other users", async () => {
  const bucket = await newBucket(alice)
  await ok(bucket.alice.upload('a.txt', 'hers'))
  const hidden = native ? 403 : 404
  await refused(bucket.bob.download('a.txt'), hidden)
  await refused(bucket.bob.download('nothing.txt'), hidden)
  await refused(bucket.bob.info('a.txt'), hidden)
  await refused(bucket.bob.upload('b.txt', 'his'), 403, RLS)
  await refused(bucket.bob.upload('a.txt', 'his', { upsert: true }), 403, RLS)
  await refused(bucket.bob.update('a.txt', 'his'), 403, RLS)
  await refused(bucket.bob.copy('a.txt', 'c.txt'), hidden)
  await refused(bucket.bob.move('a.txt', 'c.txt'), hidden)
  assert.deepEqual(await ok(bucket.bob.list()), [])
  assert.deepEqual(await ok(bucket.bob.remove(['a.txt'])), [])
  assert.equal(await text(bucket.alice.download('a.txt')), 'hers')
})

test("a user's private bucket is closed to anon", async () => {
  const bucket = await newBucket(alice)
  await ok(bucket.alice.upload('a.txt', 'hers'))
  await refused(bucket.anon.download('a.txt'), native ? 401 : 404)
  await refused(bucket.anon.upload('b.txt', 'x'), native ? 401 : 403)
  assert.deepEqual(await ok(bucket.anon.list()), [])
  assert.equal((await ok(bucket.alice.list())).length, 1)
})

test('a public bucket is readable for all, and writable for its owner', async () => {
  const bucket = await newBucket(alice, { public: true })
  await ok(bucket.alice.upload('a.txt', 'hers'))
  for (const caller of [bucket.anon, bucket.bob, bucket.alice, bucket.service]) {
    assert.equal(await text(caller.download('a.txt')), 'hers')
    assert.deepEqual(names(await ok(caller.list())), ['a.txt'])
  }
  await refused(bucket.anon.upload('b.txt', 'x'), native ? 401 : 403)
  await refused(bucket.bob.upload('b.txt', 'x'), 403, RLS)
  await refused(bucket.bob.update('a.txt', 'x'), 403, RLS)
  assert.deepEqual(await ok(bucket.bob.remove(['a.txt'])), [])
  await ok(bucket.alice.update('a.txt', 'new'))
  assert.deepEqual(names(await ok(bucket.alice.remove(['a.txt']))), ['a.txt'])
})

test('in a system bucket each user has files of their own', async () => {
  const bucket = await newBucket(service)
  await ok(bucket.alice.upload('alice/a.txt', 'hers'))
  await ok(bucket.bob.upload('bob/b.txt', 'his'))
  await refused(bucket.bob.download('alice/a.txt'), 404, 'Object not found')
  await refused(bucket.bob.download('alice/nothing.txt'), 404, 'Object not found')
  assert.deepEqual(await ok(bucket.bob.list('alice')), [])
  assert.deepEqual(names(await ok(bucket.bob.list())), ['bob'])
  assert.deepEqual(await ok(bucket.bob.remove(['alice/a.txt'])), [])
  assert.equal(await text(bucket.alice.download('alice/a.txt')), 'hers')
  assert.deepEqual(names(await ok(bucket.service.list())), ['alice', 'bob'])
  assert.deepEqual(names(await ok(bucket.alice.remove(['alice/a.txt']))), ['alice/a.txt'])
})

test('an overwrite by the service role keeps the owner', async () => {
  const bucket = await newBucket(service)
  await ok(bucket.alice.upload('a.txt', 'one'))
  await ok(bucket.service.update('a.txt', 'two'))
  assert.equal(await text(bucket.alice.download('a.txt')), 'two')
})

test('a copy belongs to the caller', async () => {
  const open = await newBucket(service, { public: true })
  await ok(open.alice.upload('a.txt', 'x'))
  await ok(open.bob.copy('a.txt', 'bobs.txt'))
  assert.deepEqual(await ok(open.alice.remove(['bobs.txt'])), [])
  assert.deepEqual(names(await ok(open.bob.remove(['bobs.txt']))), ['bobs.txt'])
})

test('a copy needs the right to read its source and to write its target', async () => {
  const hers = await newBucket(alice)
  const system = await newBucket(service)
  await ok(hers.alice.upload('a.txt', 'hers'))
  await ok(system.bob.upload('b.txt', 'his'))
  await refused(hers.bob.copy('a.txt', 'stolen.txt', { destinationBucket: system.name }), native ? 403 : 404)
  await refused(system.bob.copy('b.txt', 'planted.txt', { destinationBucket: hers.name }), 403, RLS)
  await refused(hers.bob.move('a.txt', 'stolen.txt', { destinationBucket: system.name }), native ? 403 : 404)
  await refused(system.bob.move('b.txt', 'planted.txt', { destinationBucket: hers.name }), 403, RLS)
  assert.deepEqual(names(await ok(hers.alice.list())), ['a.txt'])
})
