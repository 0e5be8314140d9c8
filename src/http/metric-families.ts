/** Families of figures, and their text in the format of Prometheus (0.0.4). */

export interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly Sample[]
}

export function gauge(name: string, help: string, value: number): Family {
  return gauges(name, help, [{ value }])
}

export function gauges(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'gauge', help, samples }
}

export function counter(name: string, help: string, value: number): Family {
  return counters(name, help, [{ value }])
}

export function counters(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'counter', help, samples }
}

export function familyText({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ value, labels = {} }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
