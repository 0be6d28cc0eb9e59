import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { UUID, bucketName, native, newBucket, ok, refused, service, text, url } from './support.mjs'

const bytes = randomBytes(300_000)
const same = async (files, path, wanted) =>
  assert.ok(Buffer.from(await (await ok(files.download(path))).arrayBuffer()).equals(Buffer.from(wanted)))

const bodies = {
  Buffer: () => bytes,
  ArrayBuffer: () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
  Uint8Array: () => new Uint8Array(bytes),
  Blob: () => new Blob([bytes]),
  File: () => new File([bytes], 'given.bin'),
  'web stream': () => new Blob([bytes]).stream(),
  'node stream': () => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]),
  FormData: () => {
    const form = new FormData()
    form.append('', new Blob([bytes]), 'form.bin')
    return form
  },
}
for (const [kind, body] of Object.entries(bodies)) {
  test(`upload of a ${kind} keeps every byte`, async () => {
    const { service: files, name } = await newBucket()
    const data = await ok(files.upload('folder/data.bin', body(), { contentType: 'application/x-data' }))
    assert.equal(data.path, 'folder/data.bin')
    assert.equal(data.fullPath, `${name}/folder/data.bin`)
    assert.match(data.id, UUID)
    await same(files, 'folder/data.bin', bytes)
    assert.equal((await ok(files.info('folder/data.bin'))).size, bytes.length)
  })
}

test('upload of a string and of nothing', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('greeting.txt', 'héllo'))
  assert.equal(await text(files.download('greeting.txt')), 'héllo')
  await ok(files.upload('empty.txt', ''))
  assert.equal(await text(files.download('empty.txt')), '')
})

test('upload keeps content type, cache control and metadata', async () => {
  const { service: files } = await newBucket()
  const options = { contentType: 'image/svg+xml', cacheControl: '7200', metadata: { album: 'späte', n: 3 } }
  await ok(files.upload('raw.svg', Buffer.from('<svg/>'), options))
  await ok(files.upload('form.svg', new Blob(['<svg/>'], { type: 'image/svg+xml' }), options))
  for (const path of ['raw.svg', 'form.svg']) {
    const info = await ok(files.info(path))
    assert.equal(info.contentType, 'image/svg+xml')
    assert.equal(info.cacheControl, 'max-age=7200')
    assert.deepEqual(info.metadata, { album: 'späte', n: 3 })
  }
})

test('upload to a taken path is refused without upsert', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'one'))
  await refused(files.upload('a.txt', 'two'), 409, 'The resource already exists')
  assert.equal(await text(files.download('a.txt')), 'one')
})

test('upload with upsert replaces, and creates', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'one', { upsert: true }))
  await ok(files.upload('a.txt', 'two', { upsert: true }))
  assert.equal(await text(files.download('a.txt')), 'two')
})

test('update replaces bytes and type', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'one', { contentType: 'text/plain' }))
  const data = await ok(files.update('a.txt', Buffer.from('{}'), { contentType: 'application/json' }))
  assert.equal(data.path, 'a.txt')
  assert.equal(await text(files.download('a.txt')), '{}')
  assert.equal((await ok(files.info('a.txt'))).contentType, 'application/json')
})

test('upload to a bucket that is not there', async () => {
  await refused(service.from(bucketName()).upload('a.txt', 'x'), 404, 'Bucket not found')
})

test('upload respects the size limit of the bucket', async () => {
  const { service: files } = await newBucket(service, { public: false, fileSizeLimit: 1000 })
  await ok(files.upload('fits.bin', Buffer.alloc(1000)))
  const words = 'The object exceeded the maximum allowed size'
  await refused(files.upload('large.bin', Buffer.alloc(1001)), 413, words)
  await refused(files.upload('large-form.bin', new Blob([Buffer.alloc(1001)])), 413, words)
  await refused(files.upload('large-stream.bin', Readable.from([Buffer.alloc(600), Buffer.alloc(600)])), 413, words)
  assert.deepEqual(
    (await ok(files.list())).map((entry) => entry.name),
    ['fits.bin']
  )
})

test('upload respects the MIME types of the bucket', async () => {
  const { service: files } = await newBucket(service, { public: false, allowedMimeTypes: ['image/*', 'text/csv'] })
  await ok(files.upload('a.png', Buffer.from('x'), { contentType: 'image/png' }))
  await ok(files.upload('a.csv', new Blob(['x'], { type: 'text/csv' })))
  await refused(
    files.upload('a.html', Buffer.from('x'), { contentType: 'text/html' }),
    415,
    'mime type text/html is not supported'
  )
  await refused(
    files.upload('b.html', new Blob(['x'], { type: 'text/html' })),
    415,
    'mime type text/html is not supported'
  )
})

test('upload takes names with spaces and signs', async () => {
  const { service: files } = await newBucket()
  const path = "a b/c (1)'s & d=e+f@g;h,i!j$k*l.txt"
  await ok(files.upload(path, 'x'))
  assert.equal(await text(files.download(path)), 'x')
  assert.equal((await ok(files.list('a b')))[0].name, path.slice(4))
})

test('download of what is not there', async () => {
  const { service: files } = await newBucket()
  await refused(files.download('nothing.txt'), 404, 'Object not found')
})

test('download as a stream', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('data.bin', bytes))
  const parts = []
  for await (const part of await ok(files.download('data.bin').asStream())) parts.push(part)
  assert.ok(Buffer.concat(parts).equals(bytes))
})

test('info tells id, size, type, etag and times', async () => {
  const { service: files, name } = await newBucket()
  await ok(files.upload('folder/a.txt', 'hello', { contentType: 'text/plain' }))
  const info = await ok(files.info('folder/a.txt'))
  assert.match(info.id, UUID)
  assert.match(info.version, UUID)
  assert.equal(info.name, 'folder/a.txt')
  assert.equal(info.bucketId, name)
  assert.equal(info.size, 5)
  assert.equal(info.contentType, 'text/plain')
  assert.match(info.etag, /^".+"$/)
  assert.ok(!Number.isNaN(Date.parse(info.createdAt)))
  assert.ok(!Number.isNaN(Date.parse(info.lastModified)))
  await refused(files.info('nothing.txt'), 404, 'Object not found')
})

test('exists', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'x'))
  assert.deepEqual(await files.exists('a.txt'), { data: true, error: null })
  assert.equal((await files.exists('b.txt')).data, false)
})

test('copy within a bucket and to another', async () => {
  const from = await newBucket()
  const to = await newBucket()
  await ok(from.service.upload('a.txt', 'one', { contentType: 'text/css', metadata: { k: 'v' } }))
  assert.equal((await ok(from.service.copy('a.txt', 'sub/b.txt'))).path, `${from.name}/sub/b.txt`)
  assert.equal((await ok(from.service.copy('a.txt', 'c.txt', { destinationBucket: to.name }))).path, `${to.name}/c.txt`)
  for (const [files, path] of [
    [from.service, 'a.txt'],
    [from.service, 'sub/b.txt'],
    [to.service, 'c.txt'],
  ]) {
    assert.equal(await text(files.download(path)), 'one')
    const info = await ok(files.info(path))
    assert.equal(info.contentType, 'text/css')
    assert.deepEqual(info.metadata, { k: 'v' })
  }
})

test('copy refuses a missing source and a taken target', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'one'))
  await ok(files.upload('b.txt', 'two'))
  await refused(files.copy('nothing.txt', 'c.txt'), 404, 'Object not found')
  await refused(files.copy('a.txt', 'b.txt'), 409, 'The resource already exists')
  assert.equal(await text(files.download('b.txt')), 'two')
})

test('move within a bucket and to another', async () => {
  const from = await newBucket()
  const to = await newBucket()
  await ok(from.service.upload('a.txt', 'one'))
  const { id } = await ok(from.service.info('a.txt'))
  assert.equal((await ok(from.service.move('a.txt', 'sub/b.txt'))).message, 'Successfully moved')
  await refused(from.service.download('a.txt'), 404)
  assert.equal((await ok(from.service.info('sub/b.txt'))).id, id)
  await ok(from.service.move('sub/b.txt', 'c.txt', { destinationBucket: to.name }))
  await refused(from.service.download('sub/b.txt'), 404)
  assert.equal(await text(to.service.download('c.txt')), 'one')
})

test('move refuses a missing source and a taken target', async () => {
  const { service: files } = await newBucket()
  await ok(files.upload('a.txt', 'one'))
  await ok(files.upload('b.txt', 'two'))
  await refused(files.move('nothing.txt', 'c.txt'), 404, 'Object not found')
  await refused(files.move('a.txt', 'b.txt'), 409, 'The resource already exists')
  assert.equal(await text(files.download('a.txt')), 'one')
  assert.equal(await text(files.download('b.txt')), 'two')
})

test('remove answers the removed rows and leaves out what is not there', async () => {
  const { service: files, name } = await newBucket()
  for (const path of ['a.txt', 'sub/b.txt', 'keep.txt']) await ok(files.upload(path, 'x'))
  const removed = await ok(files.remove(['a.txt', 'sub/b.txt', 'nothing.txt', 'sub']))
  assert.deepEqual(removed.map((row) => row.name).sort(), ['a.txt', 'sub/b.txt'])
  assert.ok(removed.every((row) => row.bucket_id === name && UUID.test(row.id)))
  assert.deepEqual(
    (await ok(files.list())).map((entry) => entry.name),
    ['keep.txt']
  )
})

test('getPublicUrl serves a public bucket to everybody, and a private one to nobody', async () => {
  const open = await newBucket(service, { public: true })
  const closed = await newBucket(service, { public: false })
  for (const bucket of [open, closed])
    await ok(bucket.service.upload('dir/a b.txt', 'hello', { contentType: 'text/plain' }))
  const { publicUrl } = open.anon.getPublicUrl('dir/a b.txt').data
  assert.ok(publicUrl.startsWith(`${url}/object/public/${open.name}/dir/`))
  const answer = await fetch(publicUrl)
  assert.equal(answer.status, 200)
  assert.equal(await answer.text(), 'hello')
  const saved = await fetch(open.anon.getPublicUrl('dir/a b.txt', { download: 'my file.txt' }).data.publicUrl)
  assert.match(saved.headers.get('content-disposition'), /^attachment; ?filename=.*my%20file\.txt/)
  await saved.arrayBuffer()
  const refusal = await fetch(closed.anon.getPublicUrl('dir/a b.txt').data.publicUrl)
  assert.ok(refusal.status >= 400 && refusal.status < 500)
  assert.ok(!(await refusal.text()).includes('hello'))
})

test('download answers ranges and conditional requests', async () => {
  const { service: files, name } = await newBucket(service, { public: true })
  await ok(files.upload('data.bin', bytes))
  const path = `${url}/object/public/${name}/data.bin`
  const part = await fetch(path, { headers: { range: 'bytes=10-19' } })
  assert.equal(part.status, 206)
  assert.equal(part.headers.get('content-range'), `bytes 10-19/${bytes.length}`)
  assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(10, 20)))
  const again = await fetch(path, { headers: { 'if-none-match': part.headers.get('etag') } })
  assert.equal(again.status, 304)
})
