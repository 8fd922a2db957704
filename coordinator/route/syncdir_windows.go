package route

// syncDir does nothing: the system flushes a rename with the file.
func syncDir(string) error { return nil }
