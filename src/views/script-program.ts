/**
 * A view whose functions are JavaScript text, as what an engine runs. Left out: where the text runs, and what it
 * may take (`sandbox.ts`).
 */

import type { Json } from '../core/json.ts'
import { userReducer } from '../core/views/reducers.ts'
import type { Reducer } from '../core/views/reducers.ts'
import type {
  Emitted,
  FoldInputs,
  FoldProgram,
  FoldStep,
  MapOutcome,
  MapProgram,
  Outcome,
  ViewEvent
} from './program.ts'
import type { Script, ScriptCall } from './sandbox.ts'
import { inputText, listOf } from './selection.ts'
import { viewEventText } from './view-event.ts'

type Identity = Pick<MapProgram, 'hash' | 'events'>

/** @param reducer a built-in one, `text` for the script's own, undefined for none */
export function scriptMapProgram(
  script: Script,
  identity: Identity,
  reducer: Reducer | 'text' | undefined
): MapProgram {
  return {
    type: 'map',
    ...identity,
    effort: script.effort,
    map: (events) => {
      return outcomesOf<MapOutcome>(script, 'map', events, (answered) => {
        return typeof answered === 'string' ? { fault: answered } : { rows: rowsOf(answered) }
      })
    },
    reducer: reducer === 'text' ? scriptReducer(script) : reducer
  }
}

export interface ScriptFold {
  /** As JSON. */
  readonly initial: string
  readonly hasKey: boolean
  readonly hasSelect: boolean
  readonly hasFinal: boolean
}

export function scriptFoldProgram(
  script: Script,
  identity: Identity,
  fold: ScriptFold
): FoldProgram {
  return {
    type: 'fold',
    ...identity,
    effort: script.effort,
    initial: fold.initial,
    keysOf: (events) => (fold.hasKey ? answers(script, 'keys', events) : events.map(subjectOf)),
    select: fold.hasSelect ? (events) => answers(script, 'select', events) : undefined,
    apply: (state, inputs) => apply(script, state, inputs),
    isFinalCalled: fold.hasFinal,
    result: (state) => {
      if (!fold.hasFinal) return { value: JSON.parse(state) as Json }
      return outcomeOf(script, 'final', state)
    }
  }
}

/** What the prelude answers for an event: what was made of it, or the text of a fault. */
type Answered = readonly Json[] | 0 | string

/** Keys and values in turn. */
function rowsOf(answered: Answered): Emitted[] {
  const rows: Emitted[] = []
  if (typeof answered === 'object') {
    for (let at = 0; at < answered.length; at += 2) {
      rows.push({ key: answered[at] ?? null, value: answered[at + 1] ?? null })
    }
  }
  return rows
}

function answers(
  script: Script,
  call: 'keys' | 'select',
  events: readonly ViewEvent[]
): (Outcome | undefined)[] {
  return outcomesOf<Outcome | undefined>(script, call, events, (answered) => {
    if (answered === 0) return undefined
    return typeof answered === 'string' ? { fault: answered } : { value: answered[0] ?? null }
  })
}

function subjectOf(event: ViewEvent): Outcome | undefined {
  return event.subject === undefined ? undefined : { value: event.subject }
}

function outcomesOf<Made>(
  script: Script,
  call: ScriptCall,
  events: readonly ViewEvent[],
  read: (answered: Answered) => Made | { readonly fault: string }
): (Made | { readonly fault: string })[] {
  const outcomes: (Made | { readonly fault: string })[] = []
  script.run(events.map(viewEventText), {
    call,
    text: (texts) => `[${texts.join(',')}]`,
    take: (answer) => {
      for (const answered of JSON.parse(answer) as Answered[]) outcomes.push(read(answered))
    },
    fail: (fault) => outcomes.push({ fault })
  })
  return outcomes
}

function apply(script: Script, before: string, inputs: FoldInputs): FoldStep {
  const faults: { index: number; fault: string }[] = []
  let [state, done] = [before, 0]
  script.run(listOf(inputs).map(inputText), {
    call: 'apply',
    text: (texts) => `[${[JSON.stringify(state), ...texts].join(',')}]`,
    take: (answer, count) => {
      const [after, failed] = JSON.parse(answer) as [string, [number, string][]]
      for (const [index, fault] of failed) faults.push({ index: done + index, fault })
      state = after
      done += count
    },
    fail: (fault) => {
      faults.push({ index: done, fault })
      done += 1
    }
  })
  return { state, faults }
}

function scriptReducer(script: Script): Reducer {
  return userReducer((keys, values, rereduce) => {
    const outcome = outcomeOf(script, 'reduce', JSON.stringify([keys, values, rereduce]))
    if ('fault' in outcome) throw new Error(outcome.fault)
    return outcome.value
  })
}

function outcomeOf(script: Script, call: ScriptCall, text: string): Outcome {
  const outcome = script.runOnce(call, text)
  if ('fault' in outcome) return outcome
  const answered = JSON.parse(outcome.answer) as [Json] | string
  return typeof answered === 'string' ? { fault: answered } : { value: answered[0] }
}
