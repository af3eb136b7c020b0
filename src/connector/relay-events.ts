import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http';
import type { Socket } from 'node:net';

/** Informational answers (100, 103 …) that an application may send before the final one. */
export const MAX_INFORMATIONAL = 32;

/** Whom a request to an application tells what happens to it. */
export interface ExchangeListener {
  takeResponse(response: IncomingMessage): void;
  takeInformation(information: InformationEvent): void;
  takeUpgrade(response: IncomingMessage, socket: Socket, head: Buffer): void;
  /** The request cannot go on. May be followed by {@link takeClose}. */
  takeError(request: ClientRequest, error: Error): void;
  /** The request is over, in whichever way. */
  takeClose(request: ClientRequest): void;
  /** There is room again for the request's body. */
  takeDrain(): void;
  takeBody(chunk: Buffer): void;
  takeBodyEnd(): void;
  takeBodyError(error: Error): void;
}

const OWNER = Symbol('owner');

interface Owned {
  [OWNER]: ExchangeListener;
}

// One function for all exchanges, the owner on the emitter: closures for each request would cost more than their events.
const onResponse = function (this: Owned, response: IncomingMessage): void {
  this[OWNER].takeResponse(response);
};
const onInformation = function (this: Owned, information: InformationEvent): void {
  this[OWNER].takeInformation(information);
};
const onUpgrade = function (this: Owned, response: IncomingMessage, socket: Socket, head: Buffer): void {
  this[OWNER].takeUpgrade(response, socket, head);
};
const onRequestError = function (this: ClientRequest & Owned, error: Error): void {
  this[OWNER].takeError(this, error);
};
const onRequestClose = function (this: ClientRequest & Owned): void {
  this[OWNER].takeClose(this);
};
const onDrain = function (this: Owned): void {
  this[OWNER].takeDrain();
};
const onBody = function (this: Owned, chunk: Buffer): void {
  this[OWNER].takeBody(chunk);
};
const onBodyEnd = function (this: Owned): void {
  this[OWNER].takeBodyEnd();
};
const onBodyError = function (this: Owned, error: Error): void {
  this[OWNER].takeBodyError(error);
};

/** Has `owner` told of everything that happens to a request. */
export function listenToRequest(request: ClientRequest, owner: ExchangeListener, hasBody: boolean): void {
  const owned = request as ClientRequest & Owned;
  owned[OWNER] = owner;
  owned.on('response', onResponse).on('information', onInformation).on('upgrade', onUpgrade);
  owned.on('error', onRequestError).on('close', onRequestClose);
  if (hasBody) owned.on('drain', onDrain);
}

/** Has `owner` told of the body of an answer, which begins to flow. */
export function listenToResponse(response: IncomingMessage, owner: ExchangeListener): void {
  const owned = response as IncomingMessage & Owned;
  owned[OWNER] = owner;
  owned.on('end', onBodyEnd).on('error', onBodyError).on('data', onBody);
}
