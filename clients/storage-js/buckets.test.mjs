import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  alice,
  aliceId,
  anon,
  bob,
  bucketName,
  names,
  native,
  newBucket,
  ok,
  refused,
  service,
  withToken,
} from './support.mjs'

test('createBucket answers the name and getBucket shows what was asked for', async () => {
  const name = bucketName()
  const created = await ok(
    service.createBucket(name, { public: true, fileSizeLimit: 1048576, allowedMimeTypes: ['image/*', 'text/plain'] })
  )
  assert.equal(created.name, name)
  const bucket = await ok(service.getBucket(name))
  assert.equal(bucket.id, name)
  assert.equal(bucket.name, name)
  assert.equal(bucket.public, true)
  assert.equal(bucket.file_size_limit, 1048576)
  assert.deepEqual(bucket.allowed_mime_types, ['image/*', 'text/plain'])
  assert.ok(!Number.isNaN(Date.parse(bucket.created_at)))
  assert.ok(!Number.isNaN(Date.parse(bucket.updated_at)))
})

test('createBucket takes a size with a unit', async () => {
  const name = bucketName()
  await ok(service.createBucket(name, { public: false, fileSizeLimit: '20MB' }))
  assert.equal((await ok(service.getBucket(name))).file_size_limit, 20_000_000)
})

test('createBucket by a user makes the user its owner', async () => {
  const name = bucketName()
  await ok(alice.createBucket(name))
  const bucket = await ok(alice.getBucket(name))
  assert.equal(bucket.owner, aliceId)
  assert.equal(bucket.public, false)
})

test('createBucket refuses a name that is taken', async () => {
  const { name } = await newBucket()
  await refused(service.createBucket(name), 409, 'The resource already exists')
  await refused(alice.createBucket(name), 409, 'The resource already exists')
})

test('createBucket refuses a bad name', async () => {
  await refused(service.createBucket('no/slash'), 400)
  await refused(service.createBucket('x'.repeat(101)), 400)
})

test('createBucket by anon is refused', async () => {
  await refused(anon.createBucket(bucketName()), native ? 401 : 403)
})

test('getBucket of a bucket that is not there', async () => {
  await refused(service.getBucket(bucketName()), 404, 'Bucket not found')
  await refused(alice.getBucket(bucketName()), 404, 'Bucket not found')
})

test('listBuckets shows own and public buckets, and to the service role all', async () => {
  const hers = await newBucket(alice)
  const his = await newBucket(bob)
  const open = await newBucket(bob, { public: true })
  const all = names(await ok(service.listBuckets()))
  for (const bucket of [hers, his, open]) assert.ok(all.includes(bucket.name))
  const seen = names(await ok(alice.listBuckets()))
  assert.ok(seen.includes(hers.name) && seen.includes(open.name) && !seen.includes(his.name))
})

test('listBuckets pages, sorts and searches', async () => {
  const stem = bucketName()
  for (const end of ['-b', '-a', '-c']) await ok(service.createBucket(stem + end))
  const search = { search: stem, sortColumn: 'name' }
  assert.deepEqual(names(await ok(service.listBuckets({ ...search, sortOrder: 'asc' }))), [
    `${stem}-a`,
    `${stem}-b`,
    `${stem}-c`,
  ])
  assert.deepEqual(names(await ok(service.listBuckets({ ...search, sortOrder: 'desc', limit: 1 }))), [`${stem}-c`])
  assert.deepEqual(names(await ok(service.listBuckets({ ...search, sortOrder: 'asc', limit: 1, offset: 1 }))), [
    `${stem}-b`,
  ])
})

test('updateBucket changes what is given and keeps the rest', async () => {
  const { name } = await newBucket(service, { public: false, fileSizeLimit: 1000, allowedMimeTypes: ['image/png'] })
  assert.equal((await ok(service.updateBucket(name, { public: true }))).message, 'Successfully updated')
  let bucket = await ok(service.getBucket(name))
  assert.deepEqual([bucket.public, bucket.file_size_limit, bucket.allowed_mime_types], [true, 1000, ['image/png']])
  await ok(service.updateBucket(name, { public: false, fileSizeLimit: null, allowedMimeTypes: null }))
  bucket = await ok(service.getBucket(name))
  assert.deepEqual(
    [bucket.public, bucket.file_size_limit ?? null, bucket.allowed_mime_types ?? null],
    [false, null, null]
  )
})

test('updateBucket of a bucket that is not there', async () => {
  await refused(service.updateBucket(bucketName(), { public: true }), 404, 'Bucket not found')
})

test('emptyBucket removes every object and leaves the bucket', async () => {
  const bucket = await newBucket()
  for (const path of ['a.txt', 'deep/er/b.txt']) await ok(bucket.service.upload(path, 'x'))
  assert.equal(typeof (await ok(service.emptyBucket(bucket.name))).message, 'string')
  assert.deepEqual(await ok(bucket.service.list()), [])
  await ok(service.getBucket(bucket.name))
})

test('emptyBucket of another user is refused', async () => {
  const bucket = await newBucket(alice)
  await ok(bucket.alice.upload('a.txt', 'x'))
  await refused(bob.emptyBucket(bucket.name), 403)
  assert.equal((await ok(bucket.alice.list())).length, 1)
})

test('deleteBucket refuses while there are objects, and then removes', async () => {
  const bucket = await newBucket()
  await ok(bucket.service.upload('a.txt', 'x'))
  await refused(service.deleteBucket(bucket.name), 409, 'The bucket you tried to delete is not empty')
  await ok(service.emptyBucket(bucket.name))
  assert.equal((await ok(service.deleteBucket(bucket.name))).message, 'Successfully deleted')
  await refused(service.getBucket(bucket.name), 404, 'Bucket not found')
})

test('deleteBucket and updateBucket of another user change nothing', async () => {
  const { name } = await newBucket(alice)
  for (const call of [bob.deleteBucket(name), bob.updateBucket(name, { public: true })]) {
    assert.notEqual((await call).error, null)
  }
  assert.equal((await ok(alice.getBucket(name))).public, false)
})

test('a malformed token is never anon', async () => {
  const { name } = await newBucket(alice, { public: true })
  for (const token of ['rubbish', 'a.b.c', '']) {
    const { error } = await withToken(token).getBucket(name)
    assert.ok(error, `token ${JSON.stringify(token)} was taken`)
  }
})
