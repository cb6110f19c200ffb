-- Every sign-in and refresh appends to the sequence of changes, and its readers go by the number alone.
DROP INDEX changes_at;
DROP INDEX changes_application;
