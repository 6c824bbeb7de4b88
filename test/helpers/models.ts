/** The JSON of a fitted model with some of what it has learned replaced, as a careless hand or a lost line would. */
export function withLearned(model: { toJSON(): { fitted: unknown } }, changes: object): unknown {
  const json = JSON.parse(JSON.stringify(model)) as { fitted: object };
  return { ...json, fitted: { ...json.fitted, ...changes } };
}
