// What work that is written beside the session needs of it.
// Not here: the session (session.ts), such work (ways.ts).

import type { DeviceReport, TileReport } from '../contract';
import type { Dataset } from '../session/dataset';
import type { BaseModel } from '../session/model';
import type { Platform } from '../session/platform';

export interface EngineParts {
  base: BaseModel;
  device: DeviceReport;
  tiles: TileReport | null;
  platform: Platform;
  data: () => Dataset;
  cancelled: () => boolean;
}
