import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  arrived, bob, content, endpoint, newBucket, newProfile, open, origin, prepare, progressed, rest, sha256, upload, pattern,
} from './support.mjs'

const MIB = 1024 * 1024
const bucket = await newBucket()

/** Runs a test in a page of its own. */
const inPage = (name, run) =>
  test(name, async () => {
    const profile = await newProfile()
    try {
      await run({ profile, ...(await open(profile)) })
    } finally {
      await profile.close()
    }
  })

inPage('a small file, from a page of another origin', async ({ page, methods }) => {
  await prepare(page, bucket, 'small.txt', 100_000)
  const { url, refused } = await upload(page)
  assert.equal(refused, null)
  assert.ok(url.startsWith(`${endpoint}/`), 'the page may read Location')
  assert.equal((await methods('POST')[0].request.allHeaders()).origin, origin)
  await arrived(bucket, 'small.txt', 100_000)
  const kept = await rest('GET', `/object/${bucket}/small.txt`)
  assert.equal(kept.headers.get('content-type'), 'text/plain')
  assert.equal(kept.headers.get('cache-control'), 'max-age=60')
})

inPage('20 MB in chunks of 6 MiB, as Supabase wants them', async ({ page, methods }) => {
  await prepare(page, bucket, 'large.bin', 20_000_000, { chunkSize: 6 * MIB })
  const { refused } = await upload(page)
  assert.equal(refused, null)
  assert.equal(methods('PATCH').length, 4)
  await arrived(bucket, 'large.bin', 20_000_000)
})

inPage('an upload goes on when the network is back', async ({ profile, page, methods }) => {
  await prepare(page, bucket, 'cut.bin', 20_000_000, { chunkSize: MIB })
  const done = upload(page)
  await progressed(page, 3 * MIB)
  const broken = page.waitForEvent('requestfailed')
  await profile.setOffline(true)
  await broken
  const before = methods('PATCH').length
  await profile.setOffline(false)
  const { refused } = await done
  assert.equal(refused, null)
  await arrived(bucket, 'cut.bin', 20_000_000)
  // It went on where it was, and did not begin anew.
  assert.equal(methods('POST').length, 1)
  const offsets = methods('PATCH').slice(before).map((request) => Number(request.headers['upload-offset']))
  assert.ok(Math.min(...offsets) >= 2 * MIB, `${offsets}`)
})

inPage('an upload goes on in another page, when the first one was closed', async ({ profile, page }) => {
  const options = { chunkSize: MIB, removeFingerprintOnSuccess: true }
  await prepare(page, bucket, 'closed.bin', 20_000_000, options)
  upload(page).catch(() => {})
  await progressed(page, 4 * MIB)
  await page.close()
  const again = await open(profile)
  await prepare(again.page, bucket, 'closed.bin', 20_000_000, options)
  const { refused } = await upload(again.page)
  assert.equal(refused, null)
  assert.equal(again.methods('POST').length, 0, 'no other upload began')
  assert.ok(Number(again.methods('PATCH')[0].headers['upload-offset']) >= 3 * MIB)
  await arrived(bucket, 'closed.bin', 20_000_000)
})

inPage('an upload is paused and goes on', async ({ page }) => {
  await prepare(page, bucket, 'paused.bin', 10_000_000, { chunkSize: MIB })
  const done = upload(page)
  await progressed(page, 2 * MIB)
  await page.evaluate(() => window.uppy.pauseResume(window.id))
  assert.equal(await content(bucket, 'paused.bin'), null)
  await page.evaluate(() => window.uppy.pauseResume(window.id))
  assert.equal((await done).refused, null)
  await arrived(bucket, 'paused.bin', 10_000_000)
})

inPage('an upload that is taken back is gone', async ({ page, methods }) => {
  await prepare(page, bucket, 'taken-back.bin', 20_000_000, { chunkSize: MIB })
  const gone = page.waitForResponse((response) => response.request().method() === 'DELETE')
  const done = upload(page)
  await progressed(page, 2 * MIB)
  await page.evaluate(() => window.uppy.removeFile(window.id))
  assert.equal((await gone).status(), 204)
  await done.catch(() => {})
  const path = new URL((await gone).url()).pathname.replace('/storage/v1', '')
  const head = await rest('HEAD', path, { headers: { 'tus-resumable': '1.0.0' } })
  assert.ok(head.status === 404 || head.status === 410, `${head.status}`)
  assert.equal(methods('DELETE').length, 1)
  assert.equal(await content(bucket, 'taken-back.bin'), null)
})

inPage('what is there is replaced by x-upsert alone', async ({ page }) => {
  await prepare(page, bucket, 'twice.txt', 10)
  assert.equal((await upload(page)).refused, null)
  await prepare(page, bucket, 'twice.txt', 20, { retryDelays: [] })
  const { refused } = await upload(page)
  assert.equal(refused.status, 409, refused.message)
  await arrived(bucket, 'twice.txt', 10)
  await prepare(page, bucket, 'twice.txt', 20, { headers: { 'x-upsert': 'true' } })
  assert.equal((await upload(page)).refused, null)
  await arrived(bucket, 'twice.txt', 20)
})

inPage('somebody else is refused, and the page can tell why', async ({ page, methods }) => {
  for (const [token, status] of [[bob, 403], [null, [400, 401, 403]]]) {
    await prepare(page, bucket, 'not-mine.txt', 1000, { token })
    const { url, refused } = await upload(page)
    assert.equal(url, null)
    assert.ok([status].flat().includes(refused.status), refused.message)
    assert.ok(refused.body.length > 0)
  }
  assert.equal(methods('PATCH').length, 0)
  assert.equal(await content(bucket, 'not-mine.txt'), null)
})

inPage('a page reads back what it wrote', async ({ page }) => {
  await prepare(page, bucket, 'back.bin', 300_000, { chunkSize: 100_000 })
  assert.equal((await upload(page)).refused, null)
  const signed = await rest('POST', `/object/sign/${bucket}/back.bin`, {
    body: JSON.stringify({ expiresIn: 60 }),
    headers: { 'content-type': 'application/json' },
  })
  const { signedURL } = await signed.json()
  const url = endpoint.replace('/upload/resumable', '') + signedURL.replace(/^\/storage\/v1/, '')
  const hash = await page.evaluate(async (from) => {
    const digest = await crypto.subtle.digest('SHA-256', await (await fetch(from)).arrayBuffer())
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
  }, url)
  assert.equal(hash, sha256(pattern(300_000)))
})
