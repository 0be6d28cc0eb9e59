// What every test needs: a page on an origin of its own, in a browser of this machine, and callers of the server.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { after } from 'node:test'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'

const env = process.env
export const base = `${env.AEROSTORE_URL}/storage/v1`
export const endpoint = `${base}/upload/resumable`
export const alice = env.AEROSTORE_ALICE_TOKEN
export const bob = env.AEROSTORE_BOB_TOKEN

export const rest = (method, path, { token = alice, headers = {}, body } = {}) =>
  fetch(`${base}${path}`, { method, body, headers: { authorization: `Bearer ${token}`, ...headers } })

/** A new private bucket of Alice's. */
export async function newBucket() {
  const name = `uppy-${randomUUID().slice(0, 13)}`
  const body = JSON.stringify({ name, id: name, public: false })
  const made = await rest('POST', '/bucket', { body, headers: { 'content-type': 'application/json' } })
  assert.ok(made.ok, await made.text())
  return name
}

export async function content(bucket, object) {
  const answer = await rest('GET', `/object/${bucket}/${object}`)
  return answer.ok ? Buffer.from(await answer.arrayBuffer()) : null
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** The bytes that the page uploads. */
export const pattern = (size) => Buffer.from(Uint8Array.from({ length: size }, (_, at) => at * 31 + Math.floor(at / 251)))

const bundled = await build({ entryPoints: ['page.js'], bundle: true, write: false, format: 'iife', logLevel: 'error' })
const script = bundled.outputFiles[0].text
const site = createServer((request, response) => {
  const isScript = request.url === '/page.js'
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8')
  response.end(isScript ? script : '<!doctype html><title>Upload</title><script src="/page.js"></script>')
})
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve))
/** Not the server's origin: browsers ask it for leave before they send anything. */
export const origin = `http://127.0.0.1:${site.address().port}`

// Without its sandbox, as that needs rights which containers and CI do not give; the page is our own.
const flags = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
const browser = await chromium.launch({ executablePath: env.AEROSTORE_CHROMIUM, args: flags })
after(async () => {
  await browser.close()
  site.closeAllConnections()
  site.close()
})

/** A profile of its own: what one test stores, no other one sees. */
export const newProfile = () => browser.newContext()

/** A page of the application, and the requests that it sends to the server. */
export async function open(profile) {
  const page = await profile.newPage()
  const requests = []
  page.on('request', (request) => {
    if (request.url().startsWith(base)) requests.push({ method: request.method(), headers: request.headers(), request })
  })
  await page.goto(origin)
  const methods = (method) => requests.filter((request) => request.method === method)
  return { page, methods }
}

/** Sets up an upload of `size` bytes in a page. */
export function prepare(page, bucket, object, size, { token = alice, headers = {}, ...options } = {}) {
  const all = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers }
  return page.evaluate((it) => window.prepare(it), { bucket, object, size, options: { endpoint, headers: all, ...options } })
}

/** Uploads what is prepared. */
export const upload = (page) => page.evaluate(() => window.upload())

/** Waits until that many bytes were taken. */
export const progressed = (page, bytes) => page.waitForFunction((least) => window.progress >= least, bytes, { polling: 5 })

/** What came to be is what was sent. */
export async function arrived(bucket, object, size) {
  const bytes = await content(bucket, object)
  assert.ok(bytes, `${object} is not there`)
  assert.equal(sha256(bytes), sha256(pattern(size)))
}
