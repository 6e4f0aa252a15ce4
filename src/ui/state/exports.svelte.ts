// Taking weights away: the quick download of what was trained, and the choice of formats for other programs.
// Not here: making and proving the files (worker/exporting.ts), what each format is (exportFormats.ts), the window (ui/compare/ExportDialog.svelte).

import { type ErrorDetails, errorDetails } from '../../errors';
import type {
  ExportCalls,
  ExportedFile,
  ExportOption,
  ExportProgress,
  ExportProof,
  ExportRequest,
  ExportTarget,
} from '../../exportContract';
import type { ExportFormat, WeightType } from '../../exportFormats';
import { save } from '../parts/save';
import type { RunView } from './run.svelte';

/** Weights of a run as they can be taken away now. */
export interface Exportable {
  run: RunView;
  target: ExportTarget;
  /** `last`, `best` or `step-12`. */
  which: string;
}

/** What has been handed to the browser. */
export interface Handed {
  name: string;
  size: number;
  paths: string[];
  proof: ExportProof | null;
  notices: string[];
}

interface Page {
  readonly session: () => ExportCalls & { cancelMeasuring(): Promise<void> };
  /** Ends what the engine does on its own, and says which weights are meant. */
  prepare(run: RunView): Promise<Exportable>;
}

export class Exports {
  /** The run whose formats are chosen from; null while the window is closed. */
  run: RunView | null = $state.raw(null);
  options: ExportOption[] | null = $state.raw(null);
  format: ExportFormat = $state('adapter');
  dtype: WeightType = $state('F32');
  includeBase = $state(false);
  /** What goes on; null while nothing is being made. */
  progress: ExportProgress | null = $state.raw(null);
  handed: Handed | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  get option(): ExportOption | null {
    return this.options?.find(({ format }) => format === this.format) ?? null;
  }

  /** Opens the window on the formats of a run. */
  async open(run: RunView): Promise<void> {
    this.run = run;
    Object.assign(this, { options: null, handed: null, error: null, includeBase: false });
    try {
      const { target } = await this.page.prepare(run);
      const options = await this.page.session().exportOptions(target);
      if (this.run !== run) return;
      this.options = options;
      await this.choose(await plainFormatOf(options));
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  async close(): Promise<void> {
    this.run = null;
    await this.cancel();
  }

  async choose(format: ExportFormat): Promise<void> {
    const { typeOf } = await formats();
    this.format = format;
    this.dtype = typeOf(format);
    this.handed = null;
  }

  /** Makes the chosen format and hands it to the browser. Never rejects. */
  async make(): Promise<void> {
    const { run, format, dtype, includeBase } = this;
    if (run === null || this.progress !== null) return;
    this.error = null;
    this.handed = null;
    try {
      const request = { format, dtype, includeBase };
      const { made, name } = await this.whileBusy(async () =>
        this.made(await this.page.prepare(run), request, `-${format.replace('_', '-')}`),
      );
      const { file, paths, proof, notices } = made;
      this.handed = { name, size: file.size, paths, proof, notices };
    } catch (thrown) {
      const error = errorDetails(thrown);
      this.error = error.code === 'export_cancelled' ? null : error;
    }
  }

  async cancel(): Promise<void> {
    if (this.progress !== null) await this.page.session().cancelMeasuring();
  }

  /** Exactly what was trained, at once: an adapter, or the whole model. @throws PlaygroundError what exporting throws */
  async download(run: RunView): Promise<void> {
    if (this.progress !== null) return;
    await this.whileBusy(async () => {
      const exportable = await this.page.prepare(run);
      const options = await this.page.session().exportOptions(exportable.target);
      await this.made(exportable, { format: await plainFormatOf(options) }, '');
    });
  }

  private async made(
    { run, target, which }: Exportable,
    request: ExportRequest,
    end: string,
  ): Promise<{ made: ExportedFile; name: string }> {
    const made = await this.page.session().exportWeights(target, request, (progress) => {
      this.progress = progress;
    });
    const name = `${run.modelName}-run-${run.number}-${which}${end}.zip`;
    save(made.file, name);
    // Of a single step on the way, the end is not among what was downloaded.
    if (!which.startsWith('step-')) run.saved = true;
    return { made, name };
  }

  private async whileBusy<T>(work: () => Promise<T>): Promise<T> {
    this.progress = { stage: 'write', share: 0 };
    try {
      return await work();
    } finally {
      this.progress = null;
    }
  }
}

/** The list of formats is not needed for the first view. */
const formats = () => import('../../exportFormats');

async function plainFormatOf(options: readonly ExportOption[]): Promise<ExportFormat> {
  const { plainFormat } = await formats();
  return plainFormat(options.some(({ format, blocked }) => format === 'adapter' && blocked === null));
}
