/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/gen/gdcm_tables.cc -- run while vivofs is built: writes GDCM's tables out.
 *
 * Usage: vivo_gdcm_tables FILE
 * The dictionary, the UIDs and the types of attributes in PS3.3 (Part3.xml) become
 * rows that src/dcm/gdcm.c includes. vivofs itself then starts without GDCM, which
 * builds its dictionary anew in every process (15 ms) and reads Part3.xml as XML
 * (45 ms) before the first header can be cleaned. The only user of GDCM. */
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

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <set>
#include <string>

namespace
{

/* Attributes that are newer than GDCM's dictionary: its Part3.xml may know them. */
const uint32_t supplement[] = {
#define VIVO_DICT(tag, vr, vm, keyword, retired) tag,
#include "../dict_supplement.def"
#undef VIVO_DICT
};

std::string quoted(const char *s)
{
    std::string out = "\"";
    for (; s && *s; s++) {
        if (*s == '"' || *s == '\\')
            out += '\\';
        out += *s;
    }
    return out + "\"";
}

uint32_t number_of(const gdcm::Tag &tag)
{
    return static_cast<uint32_t>(tag.GetGroup()) << 16 | tag.GetElement();
}

gdcm::Tag tag_of(uint32_t tag)
{
    return gdcm::Tag(static_cast<uint16_t>(tag >> 16), static_cast<uint16_t>(tag));
}

/* Rows of the public dictionary, repeating groups and elements expanded. */
std::set<uint32_t> write_dict(FILE *f)
{
    std::set<uint32_t> tags(supplement, supplement + sizeof supplement / 4);
    const gdcm::Dict &dict = gdcm::Global::GetInstance().GetDicts().GetPublicDict();
    for (auto it = dict.Begin(); it != dict.End(); ++it) {
        const gdcm::DictEntry &e = it->second;
        tags.insert(number_of(it->first));
        fprintf(f, "VIVO_GDCM_DICT(0x%08xu, %s, %s, %s, %s)\n", number_of(it->first),
                quoted(gdcm::VR::GetVRString(e.GetVR())).c_str(),
                quoted(gdcm::VM::GetVMString(e.GetVM())).c_str(),
                quoted(e.GetKeyword()).c_str(), e.GetRetired() ? "true" : "false");
    }
    return tags;
}

/* Every UID of PS3.6 Annex A that GDCM names. */
void write_uids(FILE *f)
{
    const unsigned n = gdcm::UIDs::GetNumberOfTransferSyntaxStrings();
    for (unsigned i = 0; i < n; i++) {
        const char *const *row = gdcm::UIDs::GetTransferSyntaxString(i);
        if (row && row[0] && row[1])
            fprintf(f, "VIVO_GDCM_UID(%s, %s)\n", quoted(row[0]).c_str(),
                    quoted(row[1]).c_str());
    }
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

/* IODs::GetIOD() may not be asked for a name that it does not have. */
const gdcm::IOD *iod_of(const char *name)
{
    const gdcm::IODs &iods = gdcm::Global::GetInstance().GetDefs().GetIODs();
    for (auto it = iods.Begin(); name && it != iods.End(); ++it)
        if (it->first == name)
            return &it->second;
    return nullptr;
}

/* tag -> type of one module with its macros */
typedef std::map<uint32_t, char> Types;

Types types_of(const char *ref, const std::set<uint32_t> &tags)
{
    const gdcm::Defs &defs = gdcm::Global::GetInstance().GetDefs();
    const gdcm::Module &module = defs.GetModules().GetModule(ref);
    Types types;
    for (uint32_t tag : tags) {
        if (!module.FindModuleEntryInMacros(defs.GetMacros(), tag_of(tag)))
            continue;
        const auto &entry =
            module.GetModuleEntryInMacros(defs.GetMacros(), tag_of(tag));
        if (char letter = letter_of(entry.GetType()))
            types[tag] = letter;
    }
    return types;
}

/* The type of an attribute in an IOD is the strictest of its modules'. */
Types strictest(const gdcm::IOD &iod, const std::set<uint32_t> &tags,
                std::map<std::string, Types> &modules)
{
    Types best;
    for (gdcm::IOD::SizeType i = 0; i < iod.GetNumberOfIODs(); i++) {
        const char *ref = iod.GetIODEntry(i).GetRef();
        if (!modules.count(ref))
            modules[ref] = types_of(ref, tags);
        for (const auto &row : modules[ref]) {
            char &type = best[row.first];
            if (!type || row.second < type)
                type = row.second;
        }
    }
    return best;
}

/* Every storage SOP class that GDCM knows, private ones of vendors included, in order
 * of UID, and the types of its IOD: `n` of them from `first` on, ascending by tag. */
void write_classes(FILE *f, const std::set<uint32_t> &tags)
{
    std::map<std::string, Types> modules, classes;
    for (int i = 0; i < gdcm::MediaStorage::MS_END; i++) {
        auto ms = static_cast<gdcm::MediaStorage::MSType>(i);
        const char *uid = gdcm::MediaStorage::GetMSString(ms);
        const gdcm::IOD *iod = iod_of(gdcm::Defs::GetIODNameFromMediaStorage(ms));
        if (uid)
            classes.emplace(uid, iod ? strictest(*iod, tags, modules) : Types());
    }
    size_t first = 0;
    for (const auto &c : classes) {
        fprintf(f, "VIVO_GDCM_CLASS(%s, %zu, %zu)\n", quoted(c.first.c_str()).c_str(),
                first, c.second.size());
        first += c.second.size();
    }
    for (const auto &c : classes)
        for (const auto &row : c.second)
            fprintf(f, "VIVO_GDCM_TYPE(0x%08xu, '%c')\n", row.first, row.second);
}

int write_all(const char *path)
{
    gdcm::Trace::DebugOff();
    gdcm::Trace::WarningOff();
    gdcm::Trace::ErrorOff();
    /* GetDefs() may not be called before: it asserts. */
    if (!gdcm::Global::GetInstance().LoadResourcesFiles()) {
        fprintf(stderr, "GDCM's Part3.xml was not found\n");
        return EXIT_FAILURE;
    }
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        return EXIT_FAILURE;
    }
    static const char *const macros[] = {"DICT(a, b, c, d, e)", "UID(a, b)",
                                         "CLASS(a, b, c)", "TYPE(a, b)"};
    fprintf(f,
            "/* Made from GDCM's tables by src/dcm/gen/gdcm_tables.cc: who includes\n"
            " * this defines the macro of the rows that are wanted. */\n");
    for (const std::string m : macros)
        fprintf(f, "#ifndef VIVO_GDCM_%s\n#define VIVO_GDCM_%s\n#endif\n",
                m.substr(0, m.find('(')).c_str(), m.c_str());
    const std::set<uint32_t> tags = write_dict(f);
    write_uids(f);
    write_classes(f, tags);
    for (const std::string m : macros)
        fprintf(f, "#undef VIVO_GDCM_%s\n", m.substr(0, m.find('(')).c_str());
    const bool failed = ferror(f) != 0;
    return fclose(f) || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return EXIT_FAILURE;
    }
    try {
        return write_all(argv[1]);
    } catch (const std::exception &e) {
        fprintf(stderr, "%s\n", e.what());
        return EXIT_FAILURE;
    }
}
