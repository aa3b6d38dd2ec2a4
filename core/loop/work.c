/* Blocking work on libuv's pool, whose threads start with the first piece of work. */
#include "core/base/mem.h"
#include "core/loop/internal.h"

typedef struct oc_job {
	oc_item item;
	uv_work_t req;
	void (*fn)(void *arg);
	void (*done)(void *arg, oc_status status);
	void *arg;
	bool abandoned; /* swept: out of the owner's list */
} oc_job;

static void on_work(uv_work_t *req)
{
	oc_job *job = req->data;

	job->fn(job->arg);
}

static void on_done(uv_work_t *req, int status)
{
	oc_job *job = req->data;
	oc_owner *owner = job->item.owner;
	void (*done)(void *, oc_status) = job->done;
	void *arg = job->arg;
	oc_status result = job->abandoned || status == UV_ECANCELED ? OC_E_CANCELED : OC_OK;
	uint64_t entered;

	if (!job->abandoned)
		oc_item_drop(&job->item);
	owner->loop->n_jobs--;
	oc_free(job);
	entered = oc_owner_enter(owner);
	done(arg, result);
	oc_owner_leave(owner, entered);
	oc_owner_unref(owner); /* the job's reference */
}

void oc_work_abandon(oc_item *item)
{
	oc_job *job = OC_CONTAINER(item, oc_job, item);

	job->abandoned = true;
	(void)uv_cancel((uv_req_t *)&job->req); /* fails while fn runs; on_done follows either way */
}

oc_status oc_work(oc_owner *owner, void (*fn)(void *arg), void (*done)(void *arg, oc_status status), void *arg)
{
	oc_job *job = oc_alloc(sizeof(*job));

	if (job == NULL)
		return OC_E_NOMEM;
	if (!oc_item_add(owner, &job->item, OC_ITEM_WORK)) {
		oc_free(job);
		return OC_E_STATE;
	}
	job->fn = fn;
	job->done = done;
	job->arg = arg;
	job->req.data = job;
	if (uv_queue_work(&owner->loop->uv, &job->req, on_work, on_done) != 0) {
		oc_item_drop(&job->item);
		oc_free(job);
		return OC_E_INVALID;
	}
	oc_owner_ref(owner);
	owner->loop->n_jobs++;
	return OC_OK;
}
