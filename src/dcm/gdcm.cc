/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/gdcm.cc -- the only C++ and the only user of GDCM: hands its tables to C.
 *
 * Only the dictionary, the UIDs and PS3.3's tables (Part3.xml) are read here, never
 * a file of a patient. gdcm::Anonymizer must not be used: its maps are static. */
#include "gdcm.h"

#include <gdcmDefs.h>
#include <gdcmDict.h>
#include <gdcmDicts.h>
#include <gdcmGlobal.h>
#include <gdcmIOD.h>
#include <gdcmIODs.h>
#include <gdcmMediaStorage.h>
#include <gdcmModule.h>
#include <gdcmModules.h>
#include <gdcmTrace.h>
#include <gdcmUIDs.h>

#include <cerrno>
#include <new>

namespace
{

gdcm::Tag tag_of(uint32_t tag)
{
    return gdcm::Tag(static_cast<uint16_t>(tag >> 16), static_cast<uint16_t>(tag));
}

gdcm::MediaStorage::MSType class_of(int number)
{
    return static_cast<gdcm::MediaStorage::MSType>(number);
}

/* IODs::GetIOD() may not be asked for a name that it does not have. */
const gdcm::IOD *iod_of(int number)
{
    const char *name = gdcm::Defs::GetIODNameFromMediaStorage(class_of(number));
    if (!name)
        return nullptr;
    const gdcm::IODs &iods = gdcm::Global::GetInstance().GetDefs().GetIODs();
    for (auto it = iods.Begin(); it != iods.End(); ++it)
        if (it->first == name)
            return &it->second;
    return nullptr;
}

/* PS3.5 section 7.4: 1 is stricter than 2 than 3; C is a matter of conditions that
 * nobody can check from here, so it counts as met. */
char letter_of(gdcm::Type::TypeType type)
{
    switch (type) {
    case gdcm::Type::T1:
    case gdcm::Type::T1C:
        return '1';
    case gdcm::Type::T2:
    case gdcm::Type::T2C:
        return '2';
    case gdcm::Type::T3:
        return '3';
    case gdcm::Type::UNKNOWN:
        break;
    }
    return 0;
}

char strictest_type(const gdcm::IOD &iod, const gdcm::Tag &tag)
{
    const gdcm::Defs &defs = gdcm::Global::GetInstance().GetDefs();
    char best = 0;
    for (gdcm::IOD::SizeType i = 0; i < iod.GetNumberOfIODs(); i++) {
        const char *ref = iod.GetIODEntry(i).GetRef();
        const gdcm::Module &module = defs.GetModules().GetModule(ref);
        if (!module.FindModuleEntryInMacros(defs.GetMacros(), tag))
            continue;
        const auto &entry = module.GetModuleEntryInMacros(defs.GetMacros(), tag);
        char type = letter_of(entry.GetType());
        if (type && (!best || type < best))
            best = type;
    }
    return best;
}

template <typename F> int guarded(F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    } catch (...) {
        return -EBADMSG;
    }
}

} // namespace

int vivo_gdcm_dict(vivo_gdcm_dict_fn *fn, void *ctx)
{
    return guarded([=] {
        /* What GDCM has to say goes nowhere: it may quote values. */
        gdcm::Trace::DebugOff();
        gdcm::Trace::WarningOff();
        gdcm::Trace::ErrorOff();
        const gdcm::Dict &dict = gdcm::Global::GetInstance().GetDicts().GetPublicDict();
        int rc = 0;
        for (auto it = dict.Begin(); it != dict.End() && rc == 0; ++it) {
            const gdcm::DictEntry &e = it->second;
            const uint32_t tag = static_cast<uint32_t>(it->first.GetGroup()) << 16 |
                                 it->first.GetElement();
            rc = fn(ctx, tag, gdcm::VR::GetVRString(e.GetVR()),
                    gdcm::VM::GetVMString(e.GetVM()), e.GetKeyword(), e.GetRetired());
        }
        return rc;
    });
}

int vivo_gdcm_uids(vivo_gdcm_uid_fn *fn, void *ctx)
{
    return guarded([=] {
        const unsigned n = gdcm::UIDs::GetNumberOfTransferSyntaxStrings();
        int rc = 0;
        for (unsigned i = 0; i < n && rc == 0; i++) {
            const char *const *row = gdcm::UIDs::GetTransferSyntaxString(i);
            if (row && row[0] && row[1])
                rc = fn(ctx, row[0], row[1]);
        }
        return rc;
    });
}

int vivo_gdcm_classes(vivo_gdcm_class_fn *fn, void *ctx)
{
    return guarded([=] {
        int rc = 0;
        for (int i = 0; i < gdcm::MediaStorage::MS_END && rc == 0; i++) {
            const char *uid = gdcm::MediaStorage::GetMSString(class_of(i));
            if (uid)
                rc = fn(ctx, i, uid);
        }
        return rc;
    });
}

int vivo_gdcm_load_types(void)
{
    return guarded([] {
        gdcm::Global &global = gdcm::Global::GetInstance();
        /* GetDefs() may not be called before: it asserts. */
        return global.LoadResourcesFiles() ? 0 : -ENOENT;
    });
}

char vivo_gdcm_type(int class_number, uint32_t tag)
{
    char type = 0;
    const int rc = guarded([&] {
        const gdcm::IOD *iod = iod_of(class_number);
        if (iod)
            type = strictest_type(*iod, tag_of(tag));
        return 0;
    });
    return rc == 0 ? type : '\0';
}
