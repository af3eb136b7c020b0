import { findElement } from './elements.ts';

/** The places of one step on the page that takes requests and shows them. */
export interface Step extends Outcome {
  readonly result: HTMLElement;
  readonly calls: HTMLElement;
}

/** Where a step says what came of it. */
export interface Outcome {
  readonly card: HTMLElement;
  readonly outcome: HTMLElement;
}

export type Mood = 'good' | 'bad' | 'none';

/** @throws TypeError where the page has no such step */
export function findStep(id: string): Step {
  return {
    ...findOutcome(id),
    result: findElement(HTMLElement, `#${id} .result`),
    calls: findElement(HTMLElement, `#${id} .calls`),
  };
}

/** @throws TypeError where the page has no such step */
export function findOutcome(id: string): Outcome {
  return { card: findElement(HTMLElement, `#${id}`), outcome: findElement(HTMLElement, `#${id} .outcome`) };
}

/** Says what came of a step. */
export function say({ outcome, card }: Outcome, mood: Mood, words: string): void {
  outcome.textContent = words;
  outcome.dataset['mood'] = mood;
  card.dataset['mood'] = mood;
}

/** Takes back what came of a step. */
export function reset(step: Step): void {
  step.result.replaceChildren();
  step.calls.replaceChildren();
  say(step, 'none', '');
}
