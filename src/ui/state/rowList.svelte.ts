// The table of rows as it is looked at: query, page, the rows of the page, and the one that is chosen.
// Not here: finding rows (the worker), how the table looks (ui/data/RowTable.svelte).

import type { DatasetReport, RowPreview, Session } from '../../contract';
import type { FoundRows, RowItem, RowQuery } from '../../dataContract';
import { type ErrorDetails, errorDetails } from '../../errors';

/** Rows of a page. */
export const PAGE = 25;
/** Typing asks when it has come to rest for so long. */
const SETTLE_MS = 150;

const EVERYTHING: RowQuery = { search: '', use: null, code: null, sort: 'place', descending: false };

export class RowList {
  query: RowQuery = $state.raw(EVERYTHING);
  found: FoundRows | null = $state.raw(null);
  /** Of the page, from 0. */
  offset = $state(0);
  items: RowItem[] = $state.raw([]);
  chosen: RowItem | null = $state.raw(null);
  /** The tokens of the chosen row; null while they come, and for a row that is not used. */
  preview: RowPreview | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  private turn = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly session: Pick<Session, 'findRows' | 'rowItems' | 'previewRows'>;

  readonly count = $derived(this.found?.ids.length ?? 0);
  /** Something narrows the rows down. */
  readonly narrowed = $derived(
    this.query.search.trim() !== '' || this.query.use !== null || this.query.code !== null,
  );

  constructor(session: Pick<Session, 'findRows' | 'rowItems' | 'previewRows'>) {
    this.session = session;
  }

  /** Asks anew, from the first page. */
  ask(change: Partial<RowQuery>): void {
    this.query = { ...this.query, ...change };
    this.offset = 0;
    clearTimeout(this.timer);
    if (change.search === undefined) void this.find();
    else this.timer = setTimeout(() => void this.find(), SETTLE_MS);
  }

  /** Sorts by a column; once more turns it round. */
  sortBy(sort: RowQuery['sort']): void {
    const same = this.query.sort === sort;
    // Long rows are what somebody looks for first; lines are read from the top.
    this.ask({ sort, descending: same ? !this.query.descending : sort !== 'place' });
  }

  showAll(): void {
    this.ask({ search: '', use: null, code: null });
  }

  turnTo(offset: number): void {
    this.offset = offset;
    void this.fill();
  }

  /** Of rows that have changed: the query stays, and so does the chosen row where its line still has one. */
  async rowsChanged(): Promise<void> {
    const { chosen } = this;
    await this.find();
    this.choose(this.items.find((item) => item.line === chosen?.line && item.file === chosen.file) ?? null);
  }

  /** The page with a line, among all rows, and the first row that stands there or behind it. */
  async goTo(line: number): Promise<void> {
    this.query = EVERYTHING;
    this.offset = 0;
    await this.find();
    const at = this.found?.lines.findIndex((other) => other >= line) ?? -1;
    const place = at < 0 ? Math.max(0, this.count - 1) : at;
    this.offset = place - (place % PAGE);
    await this.fill();
    this.choose(this.items[place % PAGE] ?? null);
  }

  choose(item: RowItem | null): void {
    this.chosen = item;
    this.preview = null;
    if (item === null || item.use === 'unused') return;
    this.session.previewRows({ split: item.use, offset: item.index, count: 1 }).then(
      ([preview]) => {
        if (this.chosen === item) this.preview = preview ?? null;
      },
      (thrown: unknown) => {
        this.error = errorDetails(thrown);
      },
    );
  }

  private async find(): Promise<void> {
    const turn = ++this.turn;
    try {
      const found = await this.session.findRows(this.query);
      if (turn !== this.turn) return;
      this.found = found;
      this.error = null;
      if (this.offset >= found.ids.length) this.offset = 0;
      await this.fill();
    } catch (thrown) {
      if (turn === this.turn) this.error = errorDetails(thrown);
    }
  }

  private async fill(): Promise<void> {
    const { found, offset } = this;
    if (!found) return;
    try {
      const items = await this.session.rowItems([...found.ids.slice(offset, offset + PAGE)]);
      if (found === this.found && offset === this.offset) this.items = items;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }
}

/** The name of a use on the page. */
export const USE_NAMES: Readonly<Record<RowItem['use'], string>> = {
  train: 'to train on',
  validation: 'held out',
  test: 'test',
  unused: 'not used',
};

/** Uses that a file has rows of. */
export function usesOf(report: DatasetReport): RowItem['use'][] {
  const uses: RowItem['use'][] = ['train', 'validation'];
  if (report.test !== null) uses.push('test');
  if (report.rows > report.usableRows) uses.push('unused');
  return uses;
}
