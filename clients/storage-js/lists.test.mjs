import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { UUID, bucketName, names, newBucket, ok, service } from './support.mjs'

const files = {}
before(async () => {
  Object.assign(files, await newBucket())
  for (const path of [
    'b.txt',
    'C.txt',
    'a.txt',
    'docs/one.md',
    'docs/two.md',
    'docs/old/three.md',
    'docs2/x.md',
    'Zoo/y.md',
  ]) {
    await ok(files.service.upload(path, path))
  }
})
const list = async (...given) => names(await ok(files.service.list(...given)))

test('list shows one level, folders and files by name', async () => {
  assert.deepEqual(await list(), ['a.txt', 'b.txt', 'C.txt', 'docs', 'docs2', 'Zoo'])
})

test('list tells folders from files', async () => {
  const entries = await ok(files.service.list())
  const file = entries.find((entry) => entry.name === 'a.txt')
  assert.match(file.id, UUID)
  assert.equal(file.metadata.size, 5)
  assert.equal(file.metadata.mimetype, 'text/plain;charset=UTF-8')
  assert.equal(file.metadata.cacheControl, 'max-age=3600')
  assert.ok(!Number.isNaN(Date.parse(file.created_at)))
  const folder = entries.find((entry) => entry.name === 'docs')
  assert.deepEqual([folder.id, folder.metadata, folder.created_at, folder.updated_at], [null, null, null, null])
})

test('list of a folder is relative to it, with and without a slash', async () => {
  assert.deepEqual(await list('docs'), ['old', 'one.md', 'two.md'])
  assert.deepEqual(await list('docs/'), ['old', 'one.md', 'two.md'])
  assert.deepEqual(await list('docs/old'), ['three.md'])
})

test('list of a folder or bucket that is not there is empty', async () => {
  assert.deepEqual(await list('nothing'), [])
  assert.deepEqual(await ok(service.from(bucketName()).list()), [])
})

test('list searches by name within the folder', async () => {
  assert.deepEqual(await list('', { search: 'doc' }), ['docs', 'docs2'])
  assert.deepEqual(await list('docs', { search: 't' }), ['two.md'])
  assert.deepEqual(await list('docs', { search: 'TWO' }), ['two.md'])
})

test('list pages by limit and offset', async () => {
  assert.deepEqual(await list('', { limit: 2 }), ['a.txt', 'b.txt'])
  assert.deepEqual(await list('', { limit: 2, offset: 2 }), ['C.txt', 'docs'])
  assert.deepEqual(await list('', { limit: 10, offset: 5 }), ['Zoo'])
  assert.deepEqual(await list('', { limit: 10, offset: 50 }), [])
})

test('list sorts by name downwards', async () => {
  assert.deepEqual(await list('', { sortBy: { column: 'name', order: 'desc' } }), [
    'Zoo',
    'docs2',
    'docs',
    'C.txt',
    'b.txt',
    'a.txt',
  ])
})

test('list sorts by time, folders first', async () => {
  const upwards = await list('', { sortBy: { column: 'created_at', order: 'asc' } })
  assert.deepEqual(upwards.slice(0, 3).sort(), ['Zoo', 'docs', 'docs2'])
  assert.deepEqual(upwards.slice(3), ['b.txt', 'C.txt', 'a.txt'])
  const downwards = await list('', { sortBy: { column: 'created_at', order: 'desc' } })
  assert.deepEqual(
    downwards.filter((name) => name.endsWith('.txt')),
    ['a.txt', 'C.txt', 'b.txt']
  )
})

test('listV2 without a delimiter is flat and complete', async () => {
  const page = await ok(files.service.listV2({ prefix: '' }))
  assert.equal(page.hasNext, false)
  assert.deepEqual(page.folders, [])
  const wanted = [
    'b.txt',
    'C.txt',
    'a.txt',
    'docs/one.md',
    'docs/two.md',
    'docs/old/three.md',
    'docs2/x.md',
    'Zoo/y.md',
  ]
  assert.deepEqual(names(page.objects).sort(), wanted.sort())
  assert.match(page.objects[0].id, UUID)
})

test('listV2 takes a plain prefix', async () => {
  assert.deepEqual(names((await ok(files.service.listV2({ prefix: 'docs/o' }))).objects), [
    'docs/old/three.md',
    'docs/one.md',
  ])
  assert.deepEqual((await ok(files.service.listV2({ prefix: 'Docs' }))).objects, [])
  assert.deepEqual((await ok(files.service.listV2({ prefix: '%' }))).objects, [])
})

test('listV2 with a delimiter groups folders', async () => {
  const page = await ok(files.service.listV2({ prefix: '', with_delimiter: true }))
  assert.deepEqual(names(page.folders).sort(), ['Zoo/', 'docs/', 'docs2/'])
  assert.deepEqual(names(page.objects).sort(), ['C.txt', 'a.txt', 'b.txt'])
})

for (const with_delimiter of [false, true]) {
  test(`listV2 pages by cursor ${with_delimiter ? 'with' : 'without'} a delimiter, nothing twice and nothing lost`, async () => {
    const whole = await ok(files.service.listV2({ prefix: '', with_delimiter }))
    const wanted = [...names(whole.folders), ...names(whole.objects)].sort()
    const seen = []
    let cursor
    for (let page = 0; page < 20; page += 1) {
      const answer = await ok(files.service.listV2({ prefix: '', with_delimiter, limit: 2, ...(cursor && { cursor }) }))
      assert.ok(answer.folders.length + answer.objects.length <= 2)
      seen.push(...names(answer.folders), ...names(answer.objects))
      if (!answer.hasNext) break
      cursor = answer.nextCursor
      assert.equal(typeof cursor, 'string')
    }
    assert.deepEqual(seen.sort(), wanted)
  })
}

test('listV2 sorts by name downwards', async () => {
  const page = await ok(files.service.listV2({ prefix: 'docs/', sortBy: { column: 'name', order: 'desc' } }))
  assert.deepEqual(names(page.objects), ['docs/two.md', 'docs/one.md', 'docs/old/three.md'])
})
