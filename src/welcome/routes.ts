import { Router } from 'express';

export interface WelcomeDeps {
  /** Under what URL the page's browser reaches the idproxy. */
  readonly idproxyUrl: string;
}

export function createWelcomeRoutes(_deps: WelcomeDeps): Router {
  return Router();
}
