// The table of rows as it is shown: query, page, the rows of the page, and the one that is chosen.
// Not here: finding rows (the worker), how the table looks (ui/data/RowTable.svelte).

import type { DatasetReport, RowPreview, Session } from '../../contract';
import type { FoundRows, RowItem, RowMeanLoss, RowQuery, RowTokenLosses } from '../../dataContract';
import { type ErrorDetails, errorDetails } from '../../errors';

/** Rows of a page. */
export const PAGE = 25;
/** Typing asks when it has come to rest for so long. */
const SETTLE_MS = 150;

/** Sides whose rows can be measured; 0 and 1 in `FoundRows.uses`. */
const MEASURED = ['train', 'validation'] as const;

type Calls = Pick<
  Session,
  'findRows' | 'rowItems' | 'previewRows' | 'rowLosses' | 'sideLosses' | 'cancelMeasuring'
>;

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
  /** Of the learned tokens of the chosen row; null while they are not measured. */
  tokenLosses: RowTokenLosses | null = $state.raw(null);
  /** Of all rows by side; null until they are measured. */
  losses: Record<(typeof MEASURED)[number], RowMeanLoss[]> | null = $state.raw(null);
  /** How much of measuring them is done; null while nothing is measured. */
  measuring: number | null = $state(null);
  /** By loss, which the page knows and the worker does not; null where `query.sort` says the order. */
  byLoss: 'ascending' | 'descending' | null = $state(null);
  error: ErrorDetails | null = $state.raw(null);
  private turn = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly session: Calls;
  private readonly tuned: () => boolean;

  readonly count = $derived(this.found?.ids.length ?? 0);
  /** Something narrows the rows down. */
  readonly narrowed = $derived(
    this.query.search.trim() !== '' || this.query.use !== null || this.query.code !== null,
  );

  /** @param tuned whether there are tuned weights that losses can be measured with now */
  constructor(session: Calls, tuned: () => boolean) {
    this.session = session;
    this.tuned = tuned;
  }

  /** Whether losses can be measured now. */
  get measurable(): boolean {
    return this.tuned();
  }

  /** Asks anew, from the first page. */
  ask(change: Partial<RowQuery>): void {
    this.query = { ...this.query, ...change };
    if (change.sort !== undefined) this.byLoss = null;
    this.offset = 0;
    clearTimeout(this.timer);
    if (change.search === undefined) void this.find();
    else this.timer = setTimeout(() => void this.find(), SETTLE_MS);
  }

  /** Sorts by a column; once more turns it round. */
  sortBy(sort: RowQuery['sort']): void {
    const same = this.query.sort === sort && this.byLoss === null;
    // Long rows are what somebody looks for first; lines are read from the top.
    this.ask({ sort, descending: same ? !this.query.descending : sort !== 'place' });
  }

  /** The highest losses first; once more turns it round. */
  sortByLoss(): void {
    this.byLoss = this.byLoss === 'descending' ? 'ascending' : 'descending';
    this.ask({});
  }

  /** The loss of every row to train on and of every held-out row, before and after the run. */
  async measure(): Promise<void> {
    this.measuring = 0;
    this.error = null;
    try {
      const [train, validation] = [
        await this.session.sideLosses('train', (share) => {
          this.measuring = share / 2;
        }),
        await this.session.sideLosses('validation', (share) => {
          this.measuring = 0.5 + share / 2;
        }),
      ];
      this.losses = { train, validation };
      this.byLoss = null;
      this.sortByLoss();
    } catch (thrown) {
      const error = errorDetails(thrown);
      if (error.code !== 'measuring_cancelled') this.error = error;
    } finally {
      this.measuring = null;
    }
  }

  cancelMeasuring(): void {
    if (this.measuring !== null) void this.session.cancelMeasuring();
  }

  lossOf({ use, index }: Pick<RowItem, 'use' | 'index'>): RowMeanLoss | null {
    return (use === 'train' || use === 'validation' ? this.losses?.[use][index] : null) ?? null;
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
    // They were measured on other rows.
    this.losses = null;
    this.byLoss = null;
    await this.find();
    this.choose(this.items.find((item) => item.line === chosen?.line && item.file === chosen.file) ?? null);
  }

  /** Other weights answer now: what was measured with those before is not shown as theirs. */
  weightsChanged(): void {
    this.losses = null;
    if (this.byLoss !== null) this.sortOff();
    if (this.chosen && this.tokenLosses) this.measureTokens(this.chosen);
    this.tokenLosses = null;
  }

  private sortOff(): void {
    this.byLoss = null;
    this.ask({});
  }

  /** The page with a line, among all rows, and the first row that stands there or behind it. */
  async goTo(line: number): Promise<void> {
    this.query = EVERYTHING;
    this.byLoss = null;
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
    this.tokenLosses = null;
    if (item === null || item.use === 'unused') return;
    this.session.previewRows({ split: item.use, offset: item.index, count: 1 }).then(
      ([preview]) => {
        if (this.chosen !== item) return;
        this.preview = preview ?? null;
        this.measureTokens(item);
      },
      (thrown: unknown) => {
        this.error = errorDetails(thrown);
      },
    );
  }

  /** Measures the tokens of the chosen row, where that can be done. */
  private measureTokens(item: RowItem): void {
    const { use, index } = item;
    if (!this.measurable || (use !== 'train' && use !== 'validation')) return;
    this.session.rowLosses({ split: use, index }).then(
      (losses) => {
        if (this.chosen === item) this.tokenLosses = losses;
      },
      (thrown: unknown) => {
        this.error = errorDetails(thrown);
      },
    );
  }

  /** By loss, rows without one last. */
  private inOrder(found: FoundRows): FoundRows {
    if (this.byLoss === null) return found;
    const sign = this.byLoss === 'descending' ? -1 : 1;
    const key = (i: number) => {
      const use = MEASURED[found.uses[i] ?? -1];
      const loss = use && this.lossOf({ use, index: found.indices[i] ?? -1 });
      return loss ? sign * (loss.tuned ?? loss.base) : Number.POSITIVE_INFINITY;
    };
    const keys = Float64Array.from(found.ids, (_, i) => key(i));
    const order = Int32Array.from(found.ids, (_, i) => i).sort((a, b) => {
      const [one, two] = [keys[a] as number, keys[b] as number];
      return one === two ? a - b : one - two;
    });
    return {
      ...found,
      ids: order.map((i) => found.ids[i] as number),
      lines: order.map((i) => found.lines[i] as number),
      uses: Uint8Array.from(order, (i) => found.uses[i] as number),
      indices: order.map((i) => found.indices[i] as number),
    };
  }

  private async find(): Promise<void> {
    const turn = ++this.turn;
    try {
      const found = this.inOrder(await this.session.findRows(this.query));
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
  if (report.rows > report.usableRows || report.spareRows > 0) uses.push('unused');
  return uses;
}
