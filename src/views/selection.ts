/**
 * What a fold selects of an event: what `apply` gets in the event's stead, and all that is kept of it. An event that
 * comes late has its successors gone through again; of most a fold looks at a number or two.
 */

import type { Rows } from './fold-rows.ts'
import type { FoldInput, FoldInputs } from './program.ts'
import { unreadEvent, viewEventText } from './view-event.ts'
import type { ViewedEvent } from './view-event.ts'

/** JSON, as text, or what makes the text when somebody looks. */
export class Selection {
  readonly #kept: string | Pick<ViewedEvent, 'text'>

  constructor(kept: string | Pick<ViewedEvent, 'text'>) {
    this.#kept = kept
  }

  text(): string {
    return typeof this.#kept === 'string' ? this.#kept : this.#kept.text()
  }
}

/** What is selected of the events of rows; read together, which takes a fraction of one by one. */
export class SelectedRows {
  readonly #rows: Rows

  constructor(rows: Rows) {
    this.#rows = rows
  }

  list(): readonly Selection[] {
    return this.#rows.contents().map((content) => new Selection(content))
  }

  values(): readonly unknown[] {
    return this.#rows.values()
  }
}

export function listOf(inputs: FoldInputs): readonly FoldInput[] {
  return inputs instanceof SelectedRows ? inputs.list() : inputs
}

/** What functions get; of selections nobody else has it. */
export function valuesOf(inputs: FoldInputs): readonly unknown[] {
  return inputs instanceof SelectedRows ? inputs.values() : inputs.map(valueOf)
}

export function valueOf(input: FoldInput): unknown {
  return input instanceof Selection ? JSON.parse(input.text()) : input
}

/** As for one that no function had: what functions do with it does not show. */
export function unreadValue(input: FoldInput): unknown {
  return input instanceof Selection ? valueOf(input) : unreadEvent(input)
}

/** As JSON. */
export function inputText(input: FoldInput): string {
  return input instanceof Selection ? input.text() : viewEventText(input)
}
