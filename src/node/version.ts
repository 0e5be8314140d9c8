/** The version of this package, in one place beside package.json; a test compares the two. */

export const VERSION = '0.1.0'
