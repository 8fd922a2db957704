package dispersed

import "context"

// RecordName is where a storage holds what it is.
const RecordName = recordName

// HistoryDir is where it holds what it knows of the others' past.
const HistoryDir = historyDir

// Form makes the storages a set, as the first put does.
func (b *Backend) Form(ctx context.Context) error { return b.ready(ctx, "form", "", true) }
