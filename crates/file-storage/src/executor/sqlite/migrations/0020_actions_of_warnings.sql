-- What was said to become of an object: a rule that does something else by now tells anew. Of earlier warnings it is not known.
ALTER TABLE lifecycle_warnings ADD COLUMN action TEXT CHECK (action IN ('delete', 'archive', 'warn'));
