import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bob, content, endpoint, native, newBucket, pattern, prepare, refused, rest, send, sha256 } from './support.mjs'

const bucket = await newBucket()

test('a file goes in one request', async () => {
  const bytes = pattern(100_000)
  const upload = await send(bytes, bucket, 'one.txt')
  assert.ok(upload.url.startsWith(`${endpoint}/`))
  assert.equal(sha256(await content(bucket, 'one.txt')), sha256(bytes))
})

test('a file goes in chunks of 6 MiB, as Supabase wants them', async () => {
  const bytes = pattern(20_000_000)
  const seen = []
  await send(bytes, bucket, 'chunks.bin', { chunkSize: 6 * 1024 * 1024, onChunkComplete: (size) => seen.push(size) })
  assert.deepEqual(seen, [6291456, 6291456, 6291456, 20_000_000 - 3 * 6291456])
  assert.equal(sha256(await content(bucket, 'chunks.bin')), sha256(bytes))
})

test('a file goes in tiny chunks', async () => {
  const bytes = pattern(50_001)
  await send(bytes, bucket, 'tiny.bin', { chunkSize: 1000 })
  assert.equal(sha256(await content(bucket, 'tiny.bin')), sha256(bytes))
})

test('the first bytes go with the creation', async () => {
  const bytes = pattern(300_000)
  await send(bytes, bucket, 'with.bin', { uploadDataDuringCreation: true, chunkSize: 100_000 })
  assert.equal(sha256(await content(bucket, 'with.bin')), sha256(bytes))
})

test('an empty file', async () => {
  await send(Buffer.alloc(0), bucket, 'empty.bin')
  assert.equal((await content(bucket, 'empty.bin')).length, 0)
})

test('a stream whose length is not known', async () => {
  const { Readable } = await import('node:stream')
  const bytes = pattern(1_000_000)
  const stream = Readable.from([bytes.subarray(0, 400_000), bytes.subarray(400_000)])
  await send(stream, bucket, 'stream.bin', { chunkSize: 300_000, uploadLengthDeferred: true })
  assert.equal(sha256(await content(bucket, 'stream.bin')), sha256(bytes))
})

test('an upload that was aborted goes on where it was', async () => {
  const bytes = pattern(5_000_000)
  const first = prepare(bytes, bucket, 'resumed.bin', { chunkSize: 1_000_000 })
  await new Promise((resolve) => {
    first.upload.options.onChunkComplete = async (_, accepted) => {
      if (accepted >= 2_000_000) resolve(await first.upload.abort())
    }
    first.upload.start()
  })
  const offsets = []
  const again = prepare(bytes, bucket, 'resumed.bin', {
    chunkSize: 1_000_000,
    uploadUrl: first.upload.url,
    onProgress: (sent) => offsets.push(sent),
  })
  again.upload.start()
  await again.done
  assert.ok(Math.min(...offsets) >= 2_000_000, `${offsets[0]}`)
  assert.equal(sha256(await content(bucket, 'resumed.bin')), sha256(bytes))
})

test('what is terminated is gone', async () => {
  const bytes = pattern(2_000_000)
  const { upload } = prepare(bytes, bucket, 'terminated.bin', { chunkSize: 500_000 })
  await new Promise((resolve) => {
    upload.options.onChunkComplete = async () => resolve(await upload.abort(true))
    upload.start()
  })
  assert.equal(await content(bucket, 'terminated.bin'), null)
  const headers = { 'tus-resumable': '1.0.0' }
  assert.equal((await rest('HEAD', upload.url.replace(/.*\/storage\/v1/, ''), { headers })).status, 404)
})

test('what is there is replaced only when asked to', async () => {
  await send(Buffer.from('first'), bucket, 'taken.txt')
  await refused(send(Buffer.from('second'), bucket, 'taken.txt', { retryDelays: null }), 409)
  await send(Buffer.from('third'), bucket, 'taken.txt', { headers: { 'x-upsert': 'true' } })
  assert.equal((await content(bucket, 'taken.txt')).toString(), 'third')
})

test('type, cache control and metadata arrive', async () => {
  const metadata = { contentType: 'image/png', cacheControl: '3600', metadata: JSON.stringify({ yes: 'no' }) }
  await send(Buffer.from('png'), bucket, 'a/b c.png', { metadata })
  const answer = await rest('GET', `/object/${bucket}/a/b%20c.png`)
  assert.equal(answer.headers.get('content-type'), 'image/png')
  assert.equal(answer.headers.get('cache-control'), 'max-age=3600')
  const info = await (await rest('GET', `/object/info/${bucket}/a/b%20c.png`)).json()
  assert.deepEqual(native ? info.user_metadata : info.metadata, { yes: 'no' })
})

test('refusals have their true status', async () => {
  const none = { retryDelays: null }
  await refused(send(Buffer.from('x'), bucket, 'bobs.txt', { token: bob, ...none }), 403)
  await refused(send(Buffer.from('x'), 'no-such-bucket', 'x.txt', none), 404, /Bucket not found/)
  const small = await newBucket(native ? { max_file_size: 10 } : { file_size_limit: 10 })
  await refused(send(Buffer.from('more than ten'), small, 'x.txt', none), 413)
  const images = await newBucket({ allowed_mime_types: ['image/*'] })
  await refused(send(Buffer.from('x'), images, 'x.txt', none), 415, /mime type text\/plain is not supported/)
})

test('nobody else goes on with an upload', async () => {
  const bytes = pattern(1_000_000)
  const { upload } = prepare(bytes, bucket, 'mine.bin', { chunkSize: 500_000 })
  await new Promise((resolve) => {
    upload.options.onChunkComplete = async () => resolve(await upload.abort())
    upload.start()
  })
  const headers = { 'tus-resumable': '1.0.0' }
  const path = upload.url.replace(/.*\/storage\/v1/, '')
  for (const method of ['HEAD', 'DELETE'])
    assert.equal((await rest(method, path, { token: bob, headers })).status, 404, method)
})

test('a signed token uploads without a login', async () => {
  const signed = await (await rest('POST', `/object/upload/sign/${bucket}/signed.bin`)).json()
  const bytes = pattern(700_000)
  await send(bytes, bucket, 'signed.bin', {
    token: null,
    endpoint: `${endpoint}/sign`,
    headers: { 'x-signature': signed.token },
    chunkSize: 300_000,
  })
  assert.equal(sha256(await content(bucket, 'signed.bin')), sha256(bytes))
})

test('parallel parts become one object', { skip: !native && 'not announced by Supabase' }, async () => {
  const bytes = pattern(3_000_000)
  const names = { bucketName: bucket, objectName: 'parallel.bin' }
  await send(bytes, bucket, 'parallel.bin', { parallelUploads: 3, metadataForPartialUploads: names })
  assert.equal(sha256(await content(bucket, 'parallel.bin')), sha256(bytes))
})
