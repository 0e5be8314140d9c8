/** The one thing the facade knows of keys: which comes next, to go on after the last of a page. */

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** The least ULID above `key`, in its canonical form; undefined above the greatest. */
export function ulidAfter(key: string): string | undefined {
  for (let at = key.length - 1; at >= 0; at--) {
    const digit = DIGITS.indexOf(key.charAt(at))
    // The first digit holds three bits: there is nothing above 7.
    const top = at === 0 ? 7 : DIGITS.length - 1
    if (digit < top) {
      return key.slice(0, at) + DIGITS.charAt(digit + 1) + '0'.repeat(key.length - at - 1)
    }
  }
  return undefined
}
