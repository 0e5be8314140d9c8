/** JSON as a type: what events hold, and what views are keyed by and made of. */

/** Any JSON value. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
