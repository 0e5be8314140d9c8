/** Reads the varints of LevelDB's own files. @throws RangeError beyond the end */

export class ByteCursor {
  at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.at >= this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes.readUInt8(this.at)
      this.at += 1
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  skipPrefixed(): void {
    const length = this.varint()
    this.at += length
  }
}
