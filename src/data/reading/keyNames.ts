// Names that keys and columns have in files of other tools, by what they hold.
// Not here: which of them make which format (rowFormats.ts), words for roles (turns.ts).

/** Column or key names that plainly hold the question, most telling first. */
export const USER_NAMES: readonly string[] = [
  'prompt',
  'question',
  'input',
  'query',
  'user',
  'human',
  'request',
  'instruction',
  'user_message',
  'user_input',
  'user_prompt',
  'input_text',
  'text_input',
  'problem',
  'message',
  'inputs',
  'q',
  'frage',
  'pregunta',
  'domanda',
  'pergunta',
  'vraag',
  'вопрос',
  '问题',
  '質問',
];
/** Read as the question only beside an answer: alone they are a text. */
export const TEXT_USER_NAMES: readonly string[] = [
  'text',
  'sentence',
  'document',
  'article',
  'context',
  'passage',
  'source',
];
export const ASSISTANT_NAMES: readonly string[] = [
  'completion',
  'response',
  'answer',
  'output',
  'reply',
  'assistant',
  'target',
  'model_output',
  'output_text',
  'solution',
  'summary',
  'generation',
  'assistant_response',
  'model_response',
  'expected_output',
  'ground_truth',
  'ideal',
  'bot',
  'outputs',
  'answers',
  'a',
  'antwort',
  'respuesta',
  'reponse',
  'réponse',
  'risposta',
  'resposta',
  'antwoord',
  'ответ',
  '答案',
  '回答',
  'label',
];
/** What stands beside the question and belongs to it, in the order in which it is added. */
export const ADDITION_NAMES: readonly string[] = [
  'prompt',
  'question',
  'query',
  'input',
  'context',
  'passage',
  'document',
  'article',
];
export const SYSTEM_NAMES: readonly string[] = [
  'system',
  'system_prompt',
  'system_message',
  'system_instruction',
  'system_content',
  'sys_prompt',
  'preamble',
];
export const HISTORY_NAMES: readonly string[] = [
  'history',
  'chat_history',
  'conversation_history',
  'previous_messages',
];
export const CHOSEN_NAMES: readonly string[] = [
  'chosen',
  'preferred_output',
  'chosen_response',
  'chosen_output',
  'preferred_response',
];
export const REJECTED_NAMES: readonly string[] = [
  'rejected',
  'non_preferred_output',
  'rejected_response',
  'rejected_output',
  'non_preferred_response',
];
/** Names that mean a preference only beside each other. */
export const CHOSEN_PAIRS: readonly (readonly [chosen: string, rejected: string])[] = [
  ['accepted', 'rejected'],
  ['better', 'worse'],
  ['win', 'lose'],
  ['winner', 'loser'],
  ['positive', 'negative'],
  ['positive_response', 'negative_response'],
  ['good', 'bad'],
];
export const SHAREGPT_NAMES: readonly string[] = [
  'conversations',
  'conversation',
  'dialog',
  'dialogue',
  'dialogs',
  'turns',
  'chat',
  'chat_messages',
];
export const TEXT_NAMES: readonly string[] = [
  'text',
  'content',
  'raw_text',
  'raw_content',
  'document',
  'passage',
  'page_content',
];
