/** The marker beside a store: a restored copy is told from the store that it replaced. */

import { cp, rename, rm } from 'node:fs/promises'
import { afterEach, describe, expect, test } from 'vitest'

import { MARKER_SUFFIX, readMarker, writeMarker } from '../../src/store/marker.ts'
import { OWNER } from './event-store-suite.ts'
import { createFolder, openAt } from './stores.ts'

const folder = createFolder()
afterEach(() => folder.remove())

describe('the marker beside a store', () => {
  test('tells a store that was put back from an older copy, which then writes another log', async () => {
    const location = await folder.next()
    const copy = `${location}-copy`
    const first = await openAt(location, OWNER)
    const { ownLog, incarnation, found } = first
    await first.close()
    await cp(location, copy, { recursive: true })
    const second = await openAt(location, OWNER, false)
    expect([found, second.found]).toEqual(['new', 'known'])
    expect([second.ownLog.id, second.incarnation]).toEqual([ownLog.id, incarnation])
    await second.close()
    await rm(location, { recursive: true })
    await rename(copy, location)
    const restored = await openAt(location, OWNER, false)
    expect(restored.found).toBe('restored')
    expect(restored.ownLog.id).not.toBe(ownLog.id)
    expect(restored.incarnation).not.toBe(incarnation)
    const renewed = restored.ownLog.id
    await restored.close()
    const again = await openAt(location, OWNER, false)
    expect([again.found, again.ownLog.id]).toEqual(['known', renewed])
    await again.close()
  })

  test('is right about a store whose opening was interrupted before or after it got its epoch', async () => {
    const location = await folder.next()
    const store = await openAt(location, OWNER)
    const { ownLog } = store
    await store.close()
    const path = `${location}${MARKER_SUFFIX}`
    const marker = await readMarker(path)
    await writeMarker(path, { before: marker?.epoch ?? '', epoch: 'never reached the store' })
    const reopened = await openAt(location, OWNER, false)
    expect([reopened.found, reopened.ownLog.id]).toEqual(['known', ownLog.id])
    await reopened.close()
  })

  test('that is lost makes the store write another log, rather than trust its number', async () => {
    const location = await folder.next()
    const store = await openAt(location, OWNER)
    await store.close()
    await rm(`${location}${MARKER_SUFFIX}`)
    const reopened = await openAt(location, OWNER, false)
    expect(reopened.found).toBe('restored')
    await reopened.close()
  })
})
