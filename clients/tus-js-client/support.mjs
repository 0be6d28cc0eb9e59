// What every test file needs: callers, buckets of one's own, and uploads by tus-js-client as a page or a program makes them.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { Upload } from 'tus-js-client'

const env = process.env
export const base = `${env.AEROSTORE_URL}/storage/v1`
export const endpoint = `${base}/upload/resumable`
export const native = env.AEROSTORE_DIALECT === 'native'
export const alice = env.AEROSTORE_ALICE_TOKEN
export const bob = env.AEROSTORE_BOB_TOKEN

export const rest = (method, path, { token = alice, headers = {}, body } = {}) =>
  fetch(`${base}${path}`, { method, body, headers: { authorization: `Bearer ${token}`, ...headers } })

/** A new private bucket of Alice's. */
export async function newBucket(more = {}) {
  const name = `tus-${randomUUID().slice(0, 13)}`
  const body = JSON.stringify({ name, id: name, public: false, ...more })
  const made = await rest('POST', '/bucket', { body, headers: { 'content-type': 'application/json' } })
  assert.ok(made.ok, await made.text())
  return name
}

export async function content(bucket, object) {
  const answer = await rest('GET', `/object/${bucket}/${object}`)
  return answer.ok ? Buffer.from(await answer.arrayBuffer()) : null
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** Bytes that tell where they are. */
export const pattern = (size) => Buffer.from(Uint8Array.from({ length: size }, (_, at) => at * 31 + Math.floor(at / 251)))

/** An upload that is not started yet, and the promise of its end. */
export function prepare(bytes, bucket, object, options = {}) {
  const { token = alice, headers = {}, metadata = {}, ...more } = options
  let upload
  const done = new Promise((resolve, reject) => {
    upload = new Upload(bytes, {
      endpoint,
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
      metadata: { bucketName: bucket, objectName: object, contentType: 'text/plain', ...metadata },
      retryDelays: [0, 100, 500],
      onSuccess: () => resolve(upload),
      onError: reject,
      ...more,
    })
  })
  return { upload, done }
}

export function send(bytes, bucket, object, options) {
  const { upload, done } = prepare(bytes, bucket, object, options)
  upload.start()
  return done
}

/** The answer to an upload that must be refused. */
export async function refused(call, status, words) {
  const error = await call.then(() => assert.fail('was not refused'), (error) => error)
  assert.equal(error.originalResponse?.getStatus(), status, error.message)
  if (words !== undefined) assert.match(error.originalResponse.getBody(), words)
}
