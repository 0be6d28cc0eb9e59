import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { CopyConditions, CopyDestinationOptions, CopySourceOptions } from 'minio'
import { alice, bob, client, collect, newBucket, random, read, s3, sha256 } from './support.mjs'

const bucket = await newBucket()

test('a bucket is made, found and deleted', async () => {
  const name = await newBucket()
  assert.ok(await s3.bucketExists(name))
  assert.ok((await s3.listBuckets()).some((found) => found.name === name))
  await s3.removeBucket(name)
  assert.equal(await s3.bucketExists(name), false)
})

for (const size of [0, 1, 100_000, 7_000_001])
  test(`${size} bytes come back as they went`, async () => {
    const bytes = random(size)
    await s3.putObject(bucket, 'a b/ü+&.bin', bytes, size, { 'Content-Type': 'text/x', 'X-Amz-Meta-Own': 'yes' })
    assert.equal(sha256(await read(bucket, 'a b/ü+&.bin')), sha256(bytes))
    const known = await s3.statObject(bucket, 'a b/ü+&.bin')
    assert.equal(known.size, size)
    assert.equal(known.metaData['content-type'], 'text/x')
    assert.equal(known.metaData.own, 'yes')
  })

test('100 MB go in parts, and come back as they went', async () => {
  const bytes = random(100_000_000)
  const made = await s3.putObject(bucket, 'large.bin', bytes, bytes.length)
  assert.equal(sha256(await read(bucket, 'large.bin')), sha256(bytes))
  const known = await s3.statObject(bucket, 'large.bin')
  assert.equal(known.etag, made.etag)
  const middle = await collect(await s3.getPartialObject(bucket, 'large.bin', 67_108_860, 10))
  assert.deepEqual(Buffer.concat(middle), bytes.subarray(67_108_860, 67_108_870))
})

test('a stream whose length is not known goes in parts', async () => {
  const bytes = random(30_000_000)
  const stream = Readable.from([bytes.subarray(0, 11_000_000), bytes.subarray(11_000_000)])
  await s3.putObject(bucket, 'stream.bin', stream)
  assert.equal(sha256(await read(bucket, 'stream.bin')), sha256(bytes))
})

test('what was uploaded before is put together without sending it again', async () => {
  const parts = [random(6_000_000), random(5)]
  for (const [at, bytes] of parts.entries()) await s3.putObject(bucket, `part/${at}`, bytes)
  const sources = parts.map((_, at) => new CopySourceOptions({ Bucket: bucket, Object: `part/${at}` }))
  await s3.composeObject(new CopyDestinationOptions({ Bucket: bucket, Object: 'composed' }), sources)
  assert.equal(sha256(await read(bucket, 'composed')), sha256(Buffer.concat(parts)))
})

test('2500 keys are listed in pages, with and without delimiter', async () => {
  const many = await newBucket()
  const names = Array.from({ length: 2500 }, (_, at) => `${at % 5}/${String(at).padStart(5, '0')}`).sort()
  for (let at = 0; at < names.length; at += 50)
    await Promise.all(names.slice(at, at + 50).map((name) => s3.putObject(many, name, 'x')))
  const all = await collect(s3.listObjectsV2(many, '', true))
  assert.deepEqual(all.map((found) => found.name), names)
  const old = await collect(s3.listObjects(many, '', true))
  assert.deepEqual(old.map((found) => found.name), names)
  const folders = await collect(s3.listObjectsV2(many, '', false))
  assert.deepEqual(folders.map((found) => found.prefix), ['0/', '1/', '2/', '3/', '4/'])
  await s3.removeObjects(many, names)
  assert.deepEqual(await collect(s3.listObjectsV2(many, '', true)), [])
  await s3.removeBucket(many)
})

test('ranges', async () => {
  const bytes = random(100_000)
  await s3.putObject(bucket, 'ranges', bytes)
  for (const [start, size] of [[0, 1], [5, 100], [99_990, 10]]) {
    const part = Buffer.concat(await collect(await s3.getPartialObject(bucket, 'ranges', start, size)))
    assert.deepEqual(part, bytes.subarray(start, start + size))
  }
})

test('a copy has the same bytes, under its condition', async () => {
  await s3.putObject(bucket, 'from ü', 'copied')
  await s3.copyObject(bucket, 'to', `/${bucket}/from ü`)
  assert.equal((await read(bucket, 'to')).toString(), 'copied')
  const conditions = new CopyConditions()
  conditions.setMatchETag('other')
  await assert.rejects(s3.copyObject(bucket, 'no', `/${bucket}/to`, conditions), { code: 'PreconditionFailed' })
})

test('presigned URLs put and get', async () => {
  const put = await s3.presignedPutObject(bucket, 'by url', 60)
  const sent = await fetch(put, { method: 'PUT', body: 'by url' })
  assert.equal(sent.status, 200, await sent.text())
  const get = await s3.presignedGetObject(bucket, 'by url', 60)
  assert.equal(await (await fetch(get)).text(), 'by url')
  assert.equal((await fetch(get.replace('by%20url', 'other'))).status, 403)
})

test('tags are kept', async () => {
  await s3.putObject(bucket, 'tagged', 'x')
  await s3.setObjectTagging(bucket, 'tagged', { one: 'a', two: 'b c' })
  assert.deepEqual(await s3.getObjectTagging(bucket, 'tagged'), [
    { Key: 'one', Value: 'a' },
    { Key: 'two', Value: 'b c' },
  ])
})

test('an upload that was not finished is found and given up', async () => {
  const upload = await s3.initiateNewMultipartUpload(bucket, 'unfinished', {})
  const found = await collect(s3.listIncompleteUploads(bucket, 'unfinished', true))
  assert.deepEqual(found.map(({ key, uploadId }) => [key, uploadId]), [['unfinished', upload]])
  await s3.removeIncompleteUpload(bucket, 'unfinished')
  assert.deepEqual(await collect(s3.listIncompleteUploads(bucket, 'unfinished', true)), [])
})

test('what is missing, and who is not allowed, is told', async () => {
  await assert.rejects(read(bucket, 'nothing'), { code: 'NoSuchKey' })
  await assert.rejects(s3.putObject('no-such-bucket', 'x', 'x'), { code: 'NoSuchBucket' })
  const stranger = client(process.env.AEROSTORE_S3_ACCESS_KEY_ID, 'wrong')
  await assert.rejects(stranger.putObject(bucket, 'x', 'x'), { code: 'SignatureDoesNotMatch' })
})

test('a user has their own, and no one else does', async () => {
  const hers = await newBucket(alice)
  const bytes = random(12_000_000)
  await alice.putObject(hers, 'large', Readable.from([bytes]))
  assert.equal(sha256(await read(hers, 'large', alice)), sha256(bytes))
  await assert.rejects(read(hers, 'large', bob), { code: 'AccessDenied' })
  await assert.rejects(bob.putObject(hers, 'x', 'x'), { code: 'AccessDenied' })
  await assert.rejects(bob.initiateNewMultipartUpload(hers, 'x', {}), { code: 'AccessDenied' })
})
