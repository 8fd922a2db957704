package app

import (
	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// Dispersed returns the storage of the repository when it is spread over several.
func (o *Opened) Dispersed() (*dispersed.Backend, bool) { return dispersed.Of(o.storage) }

// Members returns how to open storage for somebody who is told of the storages of a
// dispersed one that cannot be counted on, by several goroutines at a time.
func (s *Storages) Members(tell func(storage.MemberNotice)) *Storages {
	told := Storages{}
	if s != nil {
		told = *s
	}
	told.options.OnMember = tell
	return &told
}

// member tells of a storage that jobs do without, or not any more.
func (a *App) member(n storage.MemberNotice) {
	a.Log.Warn().Int("storage", n.Storage).Str("hint", n.Advice()).Msg(n.String())
}
