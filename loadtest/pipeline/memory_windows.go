package pipeline

func allocate(size int) ([]byte, error) { return make([]byte, size), nil }

func release([]byte) {}
