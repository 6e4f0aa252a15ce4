// Chat templates as text: what Jinja2 in transformers' environment makes of each, and what stops one that never ends.
// Not here: conversations as ids (chat.test.ts), tokenizers (tokenizer.test.ts). Fixture: test/fixtures/make_templates.py.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { EndlessTemplate } from '../src/data/jinja/budget';
import { compileTemplate } from '../src/data/jinja/render';
import { TemplateError } from '../src/data/jinja/values';

interface Case {
  template: string;
  variables: string;
  /** Null where Jinja refuses. */
  text: string | null;
  /** Refused here, and not by Jinja. */
  unread?: true;
}

const fixture = JSON.parse(
  readFileSync(fileURLToPath(new URL('./fixtures/templates.json', import.meta.url)), 'utf8'),
) as { now: string; variables: Record<string, Record<string, unknown>>; cases: Case[] };

const talk = fixture.variables.talk as Record<string, unknown>;

function render(template: string, variables: Record<string, unknown> = talk): string | null {
  try {
    return compileTemplate(template).render(variables);
  } catch (error) {
    expect(error).toBeInstanceOf(TemplateError);
    return null;
  }
}

afterEach(() => {
  vi.useRealTimers();
});

describe('a chat template', () => {
  const read = fixture.cases.filter((c) => !c.unread);

  test(`makes the text that transformers makes, in ${read.length} cases`, () => {
    vi.useFakeTimers({ now: new Date(fixture.now) });
    const wrong = read.flatMap(({ template, variables, text }) => {
      const made = render(template, fixture.variables[variables]);
      return made === text ? [] : [{ template, variables, made, text }];
    });
    expect(wrong).toEqual([]);
    expect(read.filter((c) => c.text === null).length).toBeGreaterThan(20);
  });

  test('is refused where it uses what is not computed here as Jinja does', () => {
    const accepted = fixture.cases.filter((c) => c.unread && render(c.template) !== null);
    expect(accepted).toEqual([]);
    expect(() => compileTemplate("{{ 'a' | truncate(3) }}").render(talk)).toThrow(/filter “truncate”/);
  });

  test('keeps what stands before continue and break', () => {
    const roles =
      '{% for m in messages %}{{ m.role }},{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}';
    expect(render(roles)).toBe('system,user,');
    const skips =
      "{% for m in messages %}{{ loop.index }}{% if m.role == 'user' %}!{% continue %}{% endif %};{% endfor %}";
    expect(render(skips)).toBe('1;2!3;4!5;');
  });
});

describe('a template that does not end', () => {
  const endless: [string, string][] = [
    ['a long range', '{% for i in range(1000000000) %}{{ i }}{% endfor %}'],
    ['loops in loops', '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}'],
    [
      'a text that doubles',
      "{% set n = namespace(s='ab') %}{% for i in range(90) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    ],
    [
      'a list that doubles',
      '{% set n = namespace(s=[1]) %}{% for i in range(90) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}',
    ],
    ['much text', "{% for i in range(90000) %}{{ 'a' * 90000 }}{% endfor %}"],
    ['long comparisons', "{% for i in range(90000) %}{{ ('a' * 90000) == ('a' * 90000) }}{% endfor %}"],
    [
      'long searches',
      '{% set l = range(99999) %}{% for i in range(99999) %}{% if -1 in l %}{% endif %}{% endfor %}',
    ],
    ['a text that replaces itself', "{{ ('a' * 999999).replace('a', 'b' * 999999) }}"],
    [
      'macros that branch',
      '{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    ],
    ['white space out of all measure', '{{ {} | tojson(indent=1000000000) }}'],
  ];

  test.each(endless)('is stopped: %s', (_, template) => {
    const before = process.cpuUsage();
    expect(() => compileTemplate(template).render(talk)).toThrow(EndlessTemplate);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });

  test.each([
    ['calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
    ['lies too deep', `{{ ${'('.repeat(100_000)} }}`],
    ['is too long', 'a'.repeat(400_000)],
    ['is mostly space', `a${' '.repeat(200_000)}b`],
    ['breaks off', '{% for m in messages %}'],
  ])('or %s, with an error', (_, template) => {
    const before = process.cpuUsage();
    expect(render(template)).toBe(null);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });

  test('is distinguished from one with a long output', () => {
    const messages = Array.from({ length: 1000 }, (_, i) => ({
      role: i % 2 ? 'assistant' : 'user',
      content: 'many words '.repeat(20),
    }));
    const template = fixture.cases.find((c) => c.template.includes('thoughts'))?.template ?? '';
    expect(render(template, { ...talk, messages })?.length).toBeGreaterThan(200_000);
  });
});
