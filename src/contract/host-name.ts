import { RmError } from '../errors.ts';

/**
 * Checks the name of a host: 1 to 255 characters, none of them a control character.
 * @param place how the error message refers to the name
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
