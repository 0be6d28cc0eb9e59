// What every test file needs: clients for the four callers, buckets of one's own, one judge of refusals.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { StorageClient } from '@supabase/storage-js'

const env = process.env
export const url = `${env.AEROSTORE_URL}/storage/v1`
export const native = env.AEROSTORE_DIALECT === 'native'
export const aliceId = env.AEROSTORE_ALICE_ID

const client = (token) => new StorageClient(url, { Authorization: `Bearer ${token}`, apikey: env.AEROSTORE_ANON_KEY })
export const service = client(env.AEROSTORE_SERVICE_KEY)
export const anon = client(env.AEROSTORE_ANON_KEY)
export const alice = client(env.AEROSTORE_ALICE_TOKEN)
export const bob = client(env.AEROSTORE_BOB_TOKEN)
export const withToken = client

/** The data of a call that must succeed. */
export async function ok(call) {
  const { data, error } = await call
  assert.equal(error, null, error && `${error.message} (${error.status}, ${error.statusCode}, ${error.code})`)
  return data
}

/** The error of a call that must be refused: its true status, and in its dialect the status on the wire. */
export async function refused(call, statusCode, message) {
  const { data, error } = await call
  assert.equal(data, null, `was not refused: ${JSON.stringify(data)}`)
  assert.equal(String(error.statusCode), String(statusCode), error.message)
  const roleOnlyRoute = statusCode === 403 && error.message.startsWith('Access denied')
  assert.equal(error.status, native || roleOnlyRoute ? statusCode : 400, error.message)
  if (message !== undefined)
    assert.match(error.message, message instanceof RegExp ? message : new RegExp(`^${message}$`))
  return error
}

export const bucketName = () => `js-${randomUUID().slice(0, 13)}`

/** A new bucket of `owner` (the service role makes one without an owner), and its file API for each caller. */
export async function newBucket(owner = service, options = { public: false }) {
  const name = bucketName()
  await ok(owner.createBucket(name, options))
  return {
    name,
    service: service.from(name),
    anon: anon.from(name),
    alice: alice.from(name),
    bob: bob.from(name),
  }
}

export const text = async (download) => (await ok(download)).text()
export const names = (entries) => entries.map((entry) => entry.name)
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const RLS = 'new row violates row-level security policy'
