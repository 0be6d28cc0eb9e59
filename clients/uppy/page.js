// What runs in the page: Uppy with its tus plugin, as an application sets it up. Bundled by the tests.
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'

/** Bytes that tell where they are; the tests compute the same. */
const pattern = (size) => Uint8Array.from({ length: size }, (_, at) => at * 31 + Math.floor(at / 251))

/** Sets an uploader up with one file. `options` are the plugin's. */
window.prepare = ({ bucket, object, size, type = 'text/plain', options }) => {
  const uppy = new Uppy()
  uppy.use(Tus, {
    allowedMetaFields: ['bucketName', 'objectName', 'contentType', 'cacheControl'],
    retryDelays: [0, 200, 500, 1000],
    ...options,
  })
  const id = uppy.addFile({
    name: object,
    type,
    // The same file, chosen once more: what an upload is found by is its name, type, size and time.
    data: new File([pattern(size)], object, { type, lastModified: 1_700_000_000_000 }),
    meta: { bucketName: bucket, objectName: object, contentType: type, cacheControl: '60' },
  })
  window.uppy = uppy
  window.id = id
  window.progress = 0
  uppy.on('upload-progress', (_, progress) => (window.progress = progress.bytesUploaded))
}

/** Uploads what is prepared; tells the URL, or what was answered instead. */
window.upload = async () => {
  let refused = null
  window.uppy.on('upload-error', (_, error, response) => {
    const answer = error.originalResponse
    refused = { message: error.message, status: answer?.getStatus(), body: answer?.getBody(), response: response?.status }
  })
  const { successful } = await window.uppy.upload()
  return { url: successful[0]?.uploadURL ?? null, refused }
}
