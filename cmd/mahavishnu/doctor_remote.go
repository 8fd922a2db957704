package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mahavishnu/app"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// remotePatience is how long doctor waits for one storage: a person is watching, and
// what is tried again and again for minutes elsewhere is an answer here.
const remotePatience = 20 * time.Second

// errFound ends a listing.
var errFound = errors.New("found")

// rights are what credentials allow, each nil or the error of trying it.
type rights struct {
	create, get, list, once, remove error
	// took is how long writing and reading back took, ahead how far the storage's
	// clock is ahead of ours.
	took, ahead time.Duration
}

// tryRights writes a small object, reads, lists and removes it. It goes on as far as
// it gets.
func (x *examination) tryRights(ctx context.Context, be storage.Backend) (r rights) {
	name := app.DoctorFolder + strings.ToLower(rand.Text())
	began := x.e.clock.Now()
	if r.create = be.Put(ctx, name, []byte(name), storage.PutOptions{IfAbsent: true, Sync: true}); r.create != nil {
		return r
	}
	got, err := storage.ReadAll(ctx, be, name, 1<<10, nil)
	if err == nil && string(got) != name {
		err = errors.New("what was read back is not what was written")
	}
	r.get = err
	r.took = x.e.clock.Now().Sub(began)
	if info, err := be.Stat(ctx, name); err == nil && !info.ModTime.IsZero() {
		r.ahead = info.ModTime.Sub(began)
	}
	switch err := be.Put(ctx, name, []byte("another"), storage.PutOptions{IfAbsent: true}); {
	case err == nil:
		r.once = errors.New("an object was replaced that a conditional put must leave alone")
	case !errors.Is(err, storage.ErrExists):
		r.once = err
	}
	r.list = mustList(ctx, be, name)
	r.remove = be.Delete(ctx, name)
	return r
}

// mustList fails unless a listing shows an object.
func mustList(ctx context.Context, be storage.Backend, name string) error {
	err := be.List(ctx, app.DoctorFolder, func(info storage.Info) error {
		if info.Name == name {
			return errFound
		}
		return nil
	})
	switch {
	case errors.Is(err, errFound):
		return nil
	case err == nil:
		return errors.New("an object that was stored is not listed")
	}
	return err
}

// checkRights tells what a storage's credentials allow, and whether its clock and
// ours agree.
func (x *examination) checkRights(ctx context.Context, check, location string, be storage.Backend) {
	ctx, cancel := context.WithTimeout(ctx, remotePatience)
	defer cancel()
	r := x.tryRights(ctx, be)
	if r.create != nil {
		x.tellNoPut(check, be.Location(), r.create)
		return
	}
	failures := 0
	for _, one := range []struct {
		err       error
		what, why string
	}{
		{r.get, "read", "restores and all checks need it"},
		{r.list, "list", "finding snapshots needs it, below its own prefix only"},
		{r.once, "write", "two backups at once must not overwrite each other"},
	} {
		if one.err != nil {
			failures++
			x.add(check, bad, hintUnlessDenied(one.err, allow(be.Location(), one.what)), "%v; %s", one.err, one.why)
		}
	}
	if failures == 0 {
		x.add(check, good, "", "%s can be written, read and listed; writing and reading back took %s", be.Location(), terminal.Duration(r.took))
	}
	switch {
	case r.remove == nil:
	case errors.Is(r.remove, storage.ErrRetained):
		x.add(check, note, "", "what is stored is retained: the object that was tried stays until its retention ends")
	case errors.Is(r.remove, storage.ErrDenied):
		x.add(check, note, allow(be.Location(), "delete"), "the credentials do not allow to delete: backups and restores work, forget and prune do not; a small object stays behind")
	default:
		x.add(check, bad, hintOr(r.remove, allow(be.Location(), "delete")), "%v", r.remove)
	}
	if r.ahead.Abs() > skewLimit {
		x.clockOff("the storage", r.ahead)
	}
	x.checkLock(ctx, check, location, be)
}

// tellNoPut tells why nothing can be stored.
func (x *examination) tellNoPut(check, location string, err error) {
	switch _, directory := directoryOf(location); {
	case errors.Is(err, storage.ErrFull):
		fix := "make room: mahavishnu forget --dry-run shows what the retention policy lets go"
		if directory {
			fix += "; df -h shows the disk"
		}
		x.add(check, bad, fix, "%s is full", location)
	case directory:
		x.add(check, bad, hintOr(err, "check the disk and its mount"), "%v", err)
	case errors.Is(err, storage.ErrDenied):
		x.add(check, bad, allow(location, "write"), "the credentials do not allow to store objects: %v", err)
	default:
		x.add(check, bad, hintOr(err, "check the endpoint, the name of the bucket and the network"), "%v", err)
	}
}

// checkReadable tells whether another region's storage can be read, as copying from
// it takes.
func (x *examination) checkReadable(ctx context.Context, check string, be storage.Backend) {
	ctx, cancel := context.WithTimeout(ctx, remotePatience)
	defer cancel()
	err := be.List(ctx, "", func(storage.Info) error { return errFound })
	switch {
	case errors.Is(err, errFound):
		x.add(check, good, "", "%s can be listed", be.Location())
	case err == nil, errors.Is(err, storage.ErrNotFound):
		x.add(check, note, "", "%s is empty: there is nothing to copy yet", be.Location())
	default:
		x.add(check, bad, hintUnlessDenied(err, allow(be.Location(), "read")), "%v", err)
	}
}

// checkLock tells whether objects can be kept from being deleted, where the
// configuration asks for it.
func (x *examination) checkLock(ctx context.Context, check, location string, be storage.Backend) {
	retainer, ok := be.(storage.Retainer)
	if !ok {
		return
	}
	err := retainer.RetentionCheck(ctx)
	switch {
	case err == nil:
		x.add(check, good, "", "objects can be kept from being deleted")
	case errors.Is(err, storage.ErrUnsupported) && !wantsLock(location):
	default:
		x.add(check, bad, hintOr(err, "switch object lock on where the bucket is made, or leave it out of the configuration"), "%v", err)
	}
}

// wantsLock reports whether a storage's URL asks for retention.
func wantsLock(location string) bool {
	u, err := url.Parse(location)
	if err != nil {
		return false
	}
	q := u.Query()
	return q.Get("lock") != "" || q.Get("immutability") != "" || q.Get("retention") != ""
}

// hintUnlessDenied prefers the way to allow something, where it was not allowed.
func hintUnlessDenied(err error, allowed string) string {
	if errors.Is(err, storage.ErrDenied) {
		return allowed
	}
	return hintOr(err, allowed)
}

// allow says how credentials get a right, in the words of who runs the storage.
func allow(location, right string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "allow it to these credentials"
	}
	switch u.Scheme {
	case "s3":
		actions := map[string]string{
			"write": "s3:PutObject", "read": "s3:GetObject", "delete": "s3:DeleteObject", "list": "s3:ListBucket",
		}
		resource := "arn:aws:s3:::" + u.Host
		if right == "list" {
			return fmt.Sprintf("allow %s on %s for the prefix %q to these credentials, with a policy: aws iam put-user-policy --user-name USER --policy-name mahavishnu --policy-document file://policy.json",
				actions[right], resource, strings.Trim(u.Path, "/")+"/*")
		}
		return fmt.Sprintf("allow %s on %s to these credentials, with a policy: aws iam put-user-policy --user-name USER --policy-name mahavishnu --policy-document file://policy.json",
			actions[right], resource+strings.TrimRight(u.Path, "/")+"/*")
	case "azblob":
		role := "Storage Blob Data Contributor"
		if right == "read" || right == "list" {
			role = "Storage Blob Data Reader"
		}
		return fmt.Sprintf("az role assignment create --role %q --assignee WHO --scope \"$(az storage account show --name ACCOUNT --query id -o tsv)/blobServices/default/containers/%s\"", role, u.Host)
	case "gs":
		role := "roles/storage.objectUser"
		if right == "read" || right == "list" {
			role = "roles/storage.objectViewer"
		}
		return fmt.Sprintf("gcloud storage buckets add-iam-policy-binding gs://%s --member=serviceAccount:WHO --role=%s", u.Host, role)
	}
	return "allow it to these credentials"
}
