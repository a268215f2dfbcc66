export type ProtocolErrorCode =
  | 'bad_message'
  | 'unknown_type'
  | 'unknown_job'
  | 'unknown_kind'
  | 'unknown_status'
  | 'bad_time'
  | 'job_conflict'
  | 'hello_required'
  | 'protocol_too_old'
  | 'protocol_too_new';

/** An error in a message. The agent is sent its code and text. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;
  /** Type and id of the message, if they could be read. */
  type: string | undefined;
  id: string | undefined;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
