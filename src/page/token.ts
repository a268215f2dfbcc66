const KEY = 'restic-manager-token';

/** Where the browser permits no storage, a reload asks for the token again. */
function ifPermitted<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** The token is kept for this tab only, until it is closed. */
export function savedToken(): string | undefined {
  return ifPermitted(() => sessionStorage.getItem(KEY)) ?? undefined;
}

export function saveToken(token: string): void {
  ifPermitted(() => sessionStorage.setItem(KEY, token));
}

export function forgetToken(): void {
  ifPermitted(() => sessionStorage.removeItem(KEY));
}
