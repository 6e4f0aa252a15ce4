// Calls of tools and the tools themselves, from the forms of OpenAI, Anthropic, Gemini, Bedrock and ShareGPT files into the one of transformers.
// Not here: messages (turns.ts), whether a model's chat template can show calls (data/tokens/toolTemplate.ts).

import type { ToolCall } from '../../contract';
import { isObject } from './fields';
import { type JsonPath, parsed } from './jsonText';
import type { Row } from './rowReading';

/** Arguments written as JSON text (OpenAI) become an object, which is what templates print. */
function argumentsOf(row: Row, value: unknown, path: JsonPath): unknown {
  if (typeof value !== 'string') return value ?? {};
  if (value.trim() === '') return {};
  const sound = parsed(value);
  return sound ? sound.value : row.asJson(value, path);
}

/**
 * One call: {type, id, function: {name, arguments}} (OpenAI, Mistral), {name, arguments} (`function_call`, ShareGPT), {name, input}
 * (Anthropic), {name, args} (Gemini), {name, input, toolUseId} (Bedrock). Null where it has no name.
 */
export function readCall(row: Row, item: unknown, path: JsonPath): ToolCall | null {
  if (!isObject(item)) return null;
  const outer = row.fields(item, path);
  const nested = outer.find(['function']);
  const inner =
    nested && isObject(nested.value)
      ? row.fields(outer.use(nested).value as Record<string, unknown>, nested.path)
      : outer;
  const name = inner.find(['name', 'function_name', 'tool_name']);
  if (typeof name?.value !== 'string' || name.value === '') return null;
  inner.use(name);
  const given = inner.take(['arguments', 'input', 'args', 'parameters']);
  const id = outer.take(['id', 'tool_call_id', 'tool_use_id', 'call_id']);
  outer.take(['type']);
  // The order of calls, as OpenAI's streams have it: the list says the same.
  if (typeof outer.find(['index'])?.value === 'number') outer.take(['index']);
  return {
    type: 'function',
    ...(typeof id?.value === 'string' ? { id: id.value } : {}),
    function: { name: name.value, arguments: argumentsOf(row, given?.value, given?.path ?? path) },
  };
}

/** Tells a call without a name; the row cannot be used. */
export function badCall(row: Row, path: JsonPath): void {
  row.error(
    'bad_tool_call',
    path,
    'This call names no tool.',
    'Write it as {"type": "function", "function": {"name": "…", "arguments": "{ … }"}}.',
  );
}

/** {name, description, parameters} under whatever a provider calls them; null where there is no name. */
function readTool(item: unknown): unknown[] | null {
  if (!isObject(item)) return null;
  if (Array.isArray(item.functionDeclarations)) return readTools(item.functionDeclarations);
  if (Array.isArray(item.function_declarations)) return readTools(item.function_declarations);
  if (isObject(item.function) && typeof item.function.name === 'string') return [item];
  if (isObject(item.toolSpec)) return readTool(item.toolSpec);
  if (typeof item.name !== 'string') return null;
  const { input_schema, inputSchema, type, ...rest } = item;
  const schema = input_schema ?? (isObject(inputSchema) ? (inputSchema.json ?? inputSchema) : inputSchema);
  const parameters = schema === undefined ? {} : { parameters: schema };
  return [{ type: 'function', function: { ...rest, ...parameters } }];
}

/** A list of tools in the form of transformers, {type: "function", function: {name, description, parameters}}; null where it is none. */
export function readTools(value: unknown): unknown[] | null {
  const list = isObject(value) && Array.isArray(value.tools) ? value.tools : value;
  if (!Array.isArray(list) || list.length === 0) return null;
  const tools = list.map(readTool);
  return tools.every((tool) => tool !== null) ? tools.flat() : null;
}
