package app

import "mahavishnu/storage/dispersed"

// Dispersed returns the storage of the repository when it is spread over several.
func (o *Opened) Dispersed() (*dispersed.Backend, bool) { return dispersed.Of(o.storage) }
