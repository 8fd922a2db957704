package process

import (
	"bytes"
	"sync"
)

// Output keeps what a process prints, also while it does. The zero value keeps everything.
type Output struct {
	// Max bounds how many bytes are kept, the last ones; 0 is no bound.
	Max int

	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to it.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if o.Max > 0 && o.text.Len() > o.Max {
		o.text.Next(o.text.Len() - o.Max)
	}
	return n, err
}

// String is all that is kept.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
