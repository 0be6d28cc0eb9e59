import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { alice, native, newBucket, ok, refused, service, text, url } from './support.mjs'

const get = async (address, options) => {
  const answer = await fetch(address, options)
  return { status: answer.status, headers: answer.headers, body: await answer.text() }
}

test('createSignedUrl opens one object without a token', async () => {
  const { service: files, name } = await newBucket()
  await ok(files.upload('dir/a b.txt', 'secret', { contentType: 'text/plain' }))
  const { signedUrl } = await ok(files.createSignedUrl('dir/a b.txt', 600))
  assert.ok(signedUrl.startsWith(`${url}/object/sign/${name}/dir/`), signedUrl)
  const answer = await get(signedUrl)
  assert.deepEqual([answer.status, answer.body], [200, 'secret'])
  assert.equal((await get(signedUrl, { headers: { range: 'bytes=0-2' } })).body, 'sec')
})

test('createSignedUrl with download names the file', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'x'))
  const named = await get((await ok(files.createSignedUrl('a.txt', 60, { download: 'report.txt' }))).signedUrl)
  assert.match(named.headers.get('content-disposition'), /^attachment; ?filename=.*report\.txt/)
  const bare = await get((await ok(files.createSignedUrl('a.txt', 60, { download: true }))).signedUrl)
  assert.match(bare.headers.get('content-disposition'), /^attachment/)
})

test('createSignedUrl of what is not there', async () => {
  const { service: files } = await newBucket()
  await refused(files.createSignedUrl('nothing.txt', 60), 404, 'Object not found')
})

test('a signed URL opens nothing else', async () => {
  const { service: files, name } = await newBucket()
  await ok(files.upload('a.txt', 'a'))
  await ok(files.upload('b.txt', 'b'))
  const { signedUrl } = await ok(files.createSignedUrl('a.txt', 60))
  const token = new URL(signedUrl).searchParams.get('token')
  const status = native ? 403 : 400
  assert.equal((await get(signedUrl.replace('a.txt', 'b.txt'))).status, status)
  assert.equal((await get(`${url}/object/sign/${name}/a.txt?token=${token.slice(0, -2)}`)).status, status)
  const asBearer = await get(`${url}/object/${name}/a.txt`, { headers: { authorization: `Bearer ${token}` } })
  assert.ok(asBearer.status >= 400, 'the token of a signed URL is no bearer token')
})

test('createSignedUrls signs many and tells what is missing', async () => {
  const { service: files } = await newBucket()
  for (const path of ['a.txt', 'dir/b.txt']) await ok(files.upload(path, path))
  const signed = await ok(files.createSignedUrls(['a.txt', 'nothing.txt', 'dir/b.txt'], 60))
  assert.deepEqual(
    signed.map((entry) => entry.path),
    ['a.txt', 'nothing.txt', 'dir/b.txt']
  )
  for (const entry of [signed[0], signed[2]]) {
    assert.equal(entry.error, null)
    assert.equal((await get(entry.signedUrl)).body, entry.path)
  }
  assert.equal(typeof signed[1].error, 'string')
  assert.equal(signed[1].signedUrl, null)
})

const bodies = {
  Buffer: () => Buffer.from('hello'),
  Blob: () => new Blob(['hello']),
  stream: () => Readable.from([Buffer.from('he'), Buffer.from('llo')]),
}
for (const [kind, body] of Object.entries(bodies)) {
  test(`createSignedUploadUrl and uploadToSignedUrl of a ${kind}`, async () => {
    const { service: files, name } = await newBucket()
    const signed = await ok(files.createSignedUploadUrl('in/a.txt'))
    assert.equal(signed.path, 'in/a.txt')
    assert.ok(signed.signedUrl.startsWith(`${url}/object/upload/sign/${name}/in/a.txt?token=`), signed.signedUrl)
    const data = await ok(files.uploadToSignedUrl('in/a.txt', signed.token, body(), { contentType: 'text/x-test' }))
    assert.deepEqual([data.path, data.fullPath], ['in/a.txt', `${name}/in/a.txt`])
    assert.equal(await text(files.download('in/a.txt')), 'hello')
  })
}

test('uploadToSignedUrl twice is refused without upsert', async () => {
  const { service: files } = await newBucket()
  const { token } = await ok(files.createSignedUploadUrl('a.txt'))
  await ok(files.uploadToSignedUrl('a.txt', token, 'one'))
  await refused(files.uploadToSignedUrl('a.txt', token, 'two'), 409, 'The resource already exists')
  await refused(files.uploadToSignedUrl('a.txt', token, 'two', { upsert: true }), 409)
  assert.equal(await text(files.download('a.txt')), 'one')
})

test('uploadToSignedUrl twice with upsert replaces', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'zero'))
  const { token } = await ok(files.createSignedUploadUrl('a.txt', { upsert: true }))
  await ok(files.uploadToSignedUrl('a.txt', token, 'one'))
  await ok(files.uploadToSignedUrl('a.txt', token, 'two'))
  assert.equal(await text(files.download('a.txt')), 'two')
})

test('an upload token opens no other path and no download', async () => {
  const { service: files, name } = await newBucket()
  await ok(files.upload('b.txt', 'b'))
  const { token } = await ok(files.createSignedUploadUrl('a.txt', { upsert: true }))
  await refused(files.uploadToSignedUrl('b.txt', token, 'x'), native ? 403 : 400)
  assert.ok((await get(`${url}/object/sign/${name}/b.txt?token=${token}`)).status >= 400)
  assert.equal(await text(files.download('b.txt')), 'b')
})

test('an upload token creates as the user who asked for it', async () => {
  const bucket = await newBucket(service)
  const { token } = await ok(bucket.alice.createSignedUploadUrl('hers.txt'))
  await ok(bucket.anon.uploadToSignedUrl('hers.txt', token, 'x'))
  assert.equal(await text(bucket.alice.download('hers.txt')), 'x')
  await refused(bucket.bob.download('hers.txt'), 404, 'Object not found')
})

test('a user signs only what the user may read and write', async () => {
  const bucket = await newBucket(alice)
  await ok(bucket.alice.upload('a.txt', 'x'))
  await ok(bucket.alice.createSignedUrl('a.txt', 60))
  await refused(bucket.bob.createSignedUrl('a.txt', 60), native ? 403 : 404)
  await refused(bucket.bob.createSignedUploadUrl('b.txt'), 403, 'new row violates row-level security policy')
})
