/** Why there is no answer. `status` is 0 if the server could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  /** Whether a token might help. */
  readonly wantsToken: boolean;

  constructor(status: number, wantsToken: boolean) {
    super(`status ${status}`);
    this.status = status;
    this.wantsToken = wantsToken;
  }
}
