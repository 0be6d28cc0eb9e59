// What every test file needs: a client with the service's key, buckets of one's own, digests.
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Client } from 'minio'

const env = process.env
const place = new URL(env.AEROSTORE_S3_URL)

export const client = (accessKey, secretKey, sessionToken) =>
  new Client({
    endPoint: place.hostname,
    port: Number(place.port),
    useSSL: false,
    region: 'us-east-1',
    accessKey,
    secretKey,
    sessionToken,
  })

export const s3 = client(env.AEROSTORE_S3_ACCESS_KEY_ID, env.AEROSTORE_S3_SECRET_ACCESS_KEY)

/** A user with nothing but their own token. */
export const alice = client('project', env.AEROSTORE_ANON_KEY, env.AEROSTORE_ALICE_TOKEN)
export const bob = client('project', env.AEROSTORE_ANON_KEY, env.AEROSTORE_BOB_TOKEN)

export async function newBucket(by = s3) {
  const name = `minio-${randomUUID().slice(0, 13)}`
  await by.makeBucket(name)
  return name
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

export const random = randomBytes

export async function collect(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

export const read = async (bucket, name, by = s3) => Buffer.concat(await collect(await by.getObject(bucket, name)))
