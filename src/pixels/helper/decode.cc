/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/helper/decode.cc -- GDCM's codecs behind one C function. */
#include "helper.h"

#include <gdcmDataElement.h>
#include <gdcmFragment.h>
#include <gdcmImage.h>
#include <gdcmSequenceOfFragments.h>
#include <gdcmTrace.h>

#include <cstring>
#include <exception>
#include <vector>

/* GDCM asks OpenJPEG for processors and starts that many threads, which the sandbox
 * does not allow: this answer stands before OpenJPEG's own. */
extern "C" __attribute__((visibility("default"))) int opj_get_num_cpus(void);
int opj_get_num_cpus(void)
{
    return 0;
}

namespace
{

gdcm::PhotometricInterpretation::PIType photometric_of(uint32_t p)
{
    using PI = gdcm::PhotometricInterpretation;
    switch (p) {
    case VIVO_PHOTOMETRIC_MONOCHROME1:
        return PI::MONOCHROME1;
    case VIVO_PHOTOMETRIC_PALETTE:
        return PI::PALETTE_COLOR;
    case VIVO_PHOTOMETRIC_RGB:
        return PI::RGB;
    case VIVO_PHOTOMETRIC_YBR_FULL:
        return PI::YBR_FULL;
    case VIVO_PHOTOMETRIC_YBR_FULL_422:
        return PI::YBR_FULL_422;
    case VIVO_PHOTOMETRIC_YBR_RCT:
        return PI::YBR_RCT;
    case VIVO_PHOTOMETRIC_YBR_ICT:
        return PI::YBR_ICT;
    default:
        return PI::MONOCHROME2;
    }
}

void describe(const vivo_pixels_job *job, gdcm::Image &image)
{
    const auto allocated = static_cast<unsigned short>(job->allocated);
    const auto stored = static_cast<unsigned short>(job->stored);
    image.SetNumberOfDimensions(2);
    image.SetDimension(0, job->columns);
    image.SetDimension(1, job->rows);
    image.SetPixelFormat(
        gdcm::PixelFormat(static_cast<unsigned short>(job->samples), allocated, stored,
                          static_cast<unsigned short>(stored - 1),
                          static_cast<unsigned short>(job->is_signed)));
    image.SetPhotometricInterpretation(photometric_of(job->photometric));
    image.SetPlanarConfiguration(job->samples > 1 ? job->planar : 0);
    image.SetTransferSyntax(
        gdcm::TransferSyntax(gdcm::TransferSyntax::GetTSType(job->syntax)));
}

void put_in(gdcm::Image &image, const uint8_t *frame, size_t len)
{
    gdcm::SmartPointer<gdcm::SequenceOfFragments> fragments =
        new gdcm::SequenceOfFragments;
    gdcm::Fragment fragment;
    fragment.SetByteValue(reinterpret_cast<const char *>(frame),
                          static_cast<uint32_t>(len));
    fragments->AddFragment(fragment);
    gdcm::DataElement pixels(gdcm::Tag(0x7FE0, 0x0010));
    pixels.SetVR(gdcm::VR::OB);
    pixels.SetValue(*fragments);
    image.SetDataElement(pixels);
}

/* Planes one after the other become pixels. */
void interleave(const vivo_pixels_job *job, uint8_t *out, size_t out_len)
{
    const std::vector<uint8_t> planes(out, out + out_len);
    const size_t cell = job->allocated / 8, n = job->samples;
    const size_t plane = out_len / n;
    for (size_t s = 0; s < n; s++)
        for (size_t i = 0; i < plane / cell; i++)
            std::memcpy(out + (i * n + s) * cell, &planes[s * plane + i * cell], cell);
}

} // namespace

extern "C" int helper_decode(const vivo_pixels_job *job, const uint8_t *frame,
                             size_t len, uint8_t *out, size_t out_len)
{
    try {
        gdcm::Trace::WarningOff();
        gdcm::Trace::ErrorOff();
        gdcm::Image image;
        describe(job, image);
        put_in(image, frame, len);
        if (image.GetBufferLength() != out_len ||
            !image.GetBuffer(reinterpret_cast<char *>(out)))
            return -1;
        if (job->samples > 1 && image.GetPlanarConfiguration() == 1)
            interleave(job, out, out_len);
        return 0;
    } catch (const std::exception &) {
        return -1;
    }
}
