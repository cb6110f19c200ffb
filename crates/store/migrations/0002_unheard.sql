-- Whether a call to the provider may have gone out whose answer was never stored: it may have rotated the
-- refresh token, and a later refusal then has a cause of its own.
ALTER TABLE refresh_states ADD COLUMN unheard TEXT;
