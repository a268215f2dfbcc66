/** Sessions that begin later see a database clock that is ahead by the time in the table `slept`. */
export const SLEEPING_DATABASE = `
  CREATE TABLE slept (time interval NOT NULL);
  INSERT INTO slept VALUES ('0');
  CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    AS 'SELECT pg_catalog.clock_timestamp() + time FROM public.slept';
  DO 'BEGIN EXECUTE format($$ALTER DATABASE %I SET search_path = public, pg_catalog$$, current_database()); END';
`;
