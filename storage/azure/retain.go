package azure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// mode returns the mode of immutability policies, as the service names it.
func (b *Backend) mode() *blob.ImmutabilityPolicySetting {
	if b.config.Immutability == "unlocked" {
		return to.Ptr(blob.ImmutabilityPolicySettingUnlocked)
	}
	return to.Ptr(blob.ImmutabilityPolicySettingLocked)
}

// wholeSeconds is a time as the service keeps it, rounded so that nothing is kept
// shorter than was asked for.
func wholeSeconds(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}

// canRetain fails unless retention is switched on here and in the container. The
// container is asked once: a put must not count on the service to refuse a policy
// that it cannot keep.
func (b *Backend) canRetain(ctx context.Context, op, name string) error {
	if b.config.Immutability == "" {
		return &backend.Error{
			Op: op, Object: name, Err: fmt.Errorf("%w: immutability is switched off for this storage", backend.ErrUnsupported),
			Hint: "add immutability=locked to its URL, or set it in the configuration",
		}
	}
	if b.immutable.Load() {
		return nil
	}
	p, err := b.client.GetProperties(ctx, nil)
	if err != nil {
		return b.failed(ctx, op, name, owner, err)
	}
	if !value(p.IsImmutableStorageWithVersioningEnabled) {
		return &backend.Error{
			Op: op, Object: name, Hint: b.switchOn(),
			Err: fmt.Errorf("%w: the container %s does not keep immutability policies of its blobs", backend.ErrUnsupported, b.config.Container),
		}
	}
	b.immutable.Store(true)
	return nil
}

// switchOn tells how a container gets version-level immutability.
func (b *Backend) switchOn() string {
	c := b.config
	return fmt.Sprintf("switch it on: az storage account blob-service-properties update --account-name %[1]s --enable-versioning true, "+
		"then for a new container az storage container-rm create --storage-account %[1]s --name %[2]s --enable-vlw, "+
		"or for this one az storage container-rm migrate-vlw --storage-account %[1]s --name %[2]s", c.Account, c.Container)
}

// RetentionCheck asks the container whether it keeps immutability policies.
func (b *Backend) RetentionCheck(ctx context.Context) error {
	const op = "check retention"
	if err := objects.Ended(ctx, op, b.Location()); err != nil {
		return err
	}
	return b.canRetain(ctx, op, b.Location())
}

// Retained asks until when the blob's immutability policy holds. A legal hold has no
// end and is not told here; deleting is refused by it all the same.
func (b *Backend) Retained(ctx context.Context, name string) (time.Time, error) {
	const op = "look at retention"
	if err := objects.Check(ctx, op, name); err != nil {
		return time.Time{}, err
	}
	p, err := b.properties(ctx, op, name)
	if err != nil {
		return time.Time{}, err
	}
	return value(p.ImmutabilityPolicyExpiresOn), nil
}

// Retain sets the blob's immutability policy, when that keeps it longer than now.
func (b *Backend) Retain(ctx context.Context, name string, until time.Time) error {
	const op = "retain"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	if err := b.canRetain(ctx, op, name); err != nil {
		return err
	}
	p, err := b.properties(ctx, op, name)
	if err != nil {
		return err
	}
	until = wholeSeconds(until)
	if kept := p.ImmutabilityPolicyExpiresOn; kept != nil && !until.After(*kept) {
		return nil
	}
	mode := b.mode()
	if value(p.ImmutabilityPolicyMode) == blob.ImmutabilityPolicyModeLocked {
		mode = to.Ptr(blob.ImmutabilityPolicySettingLocked) // a lock is never taken back
	}
	_, err = b.blob(name).SetImmutabilityPolicy(ctx, until, &blob.SetImmutabilityPolicyOptions{Mode: mode})
	if err != nil {
		return b.failed(ctx, op, name, owner, err)
	}
	return nil
}

// version is one version of a blob.
type version struct {
	id      string
	current bool
	until   time.Time
	held    bool
	size    int64
}

// deleteVersions removes a blob with all its versions, so that its bytes are gone, or
// nothing of it when one of them is still kept. The past ones go first: whatever
// happens in between, the blob is what it was until its last version goes.
func (b *Backend) deleteVersions(ctx context.Context, op, name string) error {
	versions, now, err := b.versions(ctx, op, name)
	if err != nil {
		return err
	}
	last, current := "", len(versions) == 0
	for _, v := range versions {
		if err := v.kept(op, name, now); err != nil {
			return err
		}
		if v.current || v.id == "" { // an account that keeps no versions names none
			last, current = v.id, true
		}
	}
	for _, v := range versions {
		if v.id == last {
			continue
		}
		if err := b.removeVersion(ctx, op, name, v.id); err != nil {
			return err
		}
	}
	if !current {
		return nil
	}
	// The current version cannot be named; without a name it becomes one of the past.
	if err := b.remove(ctx, op, name); err != nil || last == "" {
		return err
	}
	return b.removeVersion(ctx, op, name, last)
}

// kept returns ErrRetained for a version that cannot be deleted yet.
func (v version) kept(op, name string, now time.Time) error {
	why := "by a legal hold"
	if !v.held {
		why = "until " + v.until.UTC().Format(time.RFC3339)
	}
	if !v.held && !v.until.After(now) {
		return nil
	}
	return &backend.Error{
		Op: op, Object: name, Err: fmt.Errorf("%w: kept %s", backend.ErrRetained, why),
		Hint: "wait until its immutability policy or legal hold has ended",
	}
}

// removeVersion deletes a version of the past, for good.
func (b *Backend) removeVersion(ctx context.Context, op, name, id string) error {
	one, err := b.blob(name).WithVersionID(id)
	if err != nil {
		return &backend.Error{Op: op, Object: name, Err: err}
	}
	if _, err := one.Delete(ctx, nil); err != nil && (!missing(err) || ctx.Err() != nil) {
		return b.failed(ctx, op, name, owner, err)
	}
	return nil
}

// versions lists all versions of a blob, and returns the service's time.
func (b *Backend) versions(ctx context.Context, op, name string) (all []version, now time.Time, err error) {
	now = b.clock.Now()
	pages := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Prefix:  to.Ptr(b.prefix + name),
		Include: container.ListBlobsInclude{Versions: true, ImmutabilityPolicy: true, LegalHold: true},
	})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, now, b.failed(ctx, op, name, owner, err)
		}
		if page.Segment == nil {
			return nil, now, b.failed(ctx, op, name, owner, errNoList)
		}
		if page.Date != nil {
			now = *page.Date
		}
		for _, item := range page.Segment.BlobItems {
			if value(item.Name) != b.prefix+name {
				return all, now, nil // names are in order, and this one is longer
			}
			p := item.Properties
			if p == nil {
				return nil, now, &backend.Error{Op: op, Object: name, Err: errors.New("the server does not tell a version's properties")}
			}
			all = append(all, version{
				id: value(item.VersionID), current: value(item.IsCurrentVersion),
				until: value(p.ImmutabilityPolicyExpiresOn), held: value(p.LegalHold), size: value(p.ContentLength),
			})
		}
	}
	return all, now, nil
}
