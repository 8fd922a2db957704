package process

// syncFileSystem does nothing: writing out a volume needs an administrator.
func syncFileSystem(string) error { return nil }
