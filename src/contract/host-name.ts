import { RmError } from '../errors.ts';

/**
 * @param place how an error names it
 * @throws RmError `invalid_host`
 */
export function checkHostName(name: string, place = 'host name'): void {
  const length = [...name].length;
  if (length < 1 || length > 255) {
    throw new RmError('invalid_host', `${place}: must have 1 to 255 characters, not ${length}`);
  }
  if (/\p{Cc}/u.test(name)) {
    throw new RmError('invalid_host', `${place}: must not contain control characters`);
  }
}
